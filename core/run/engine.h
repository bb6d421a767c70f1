// A model on a backend, ready to run: decodes batches of sequences and takes whole prompts layer by layer. Owns
// weights, queues, activations and the arena of all caches. What to feed and what to do with logits is up to the
// callers (generate.h, lockstep.h).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/config/config.h"
#include "core/run/attention.h"
#include "core/tokenizer/tokenizer.h"

namespace sluice {

enum class Want : uint32_t { kNothing, kLast, kAll };  // logits of which of a feed's rows

// Tokens that a sequence gets in a step.
struct Feed {
  SequenceCache* cache;
  std::span<const int32_t> tokens;
  Want want = Want::kLast;
};

// Logits [vocab] of row `row` of feed `feed`.
struct LogitRow {
  uint32_t feed, row;
  std::span<const float> logits;
};
// Gets the wanted rows, some at a time, feed by feed and row by row; the logits are valid during the call.
using LogitSink = std::function<void(std::span<const LogitRow> rows)>;

class Engine {
 public:
  struct Options {
    uint32_t context = 0;                              // positions to be ready for; the config's if 0
    std::function<void(uint64_t, uint64_t)> progress;  // bytes of weights loaded, of all
    // Of every prompt: rows times layers done, of all; called between its tiles.
    std::function<void(uint64_t, uint64_t)> prompt_progress;
    // Set from elsewhere: a prompt under way ends between two tiles by throwing Interrupted.
    const std::atomic<bool>* stop = nullptr;
  };
  // Opens the model and loads it. `registry` and its pool outlive the engine.
  Engine(Registry& registry, const Config& config, const Options& options);
  ~Engine();
  Engine(const Engine&) = delete;

  const ModelFile& file() const { return *file_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const Hyperparameters& hyper() const { return file_->hyper(); }
  sluice_geometry geometry() const;
  uint32_t context() const { return context_; }
  const sluice_device& device() const { return device_; }
  Arena& arena() { return *arena_; }
  // The device reads no codec's blocks: policies for it are built so (see policy_builder.h).
  bool simulates_codecs() const { return !device_.immediate; }
  Registry& registry() { return registry_; }

  // A cache for at most max_tokens tokens, under a policy that outlives it. They may be more than context() where the
  // policy is endless; what its lanes hold at a time then fits what the model was trained on.
  std::unique_ptr<SequenceCache> create_cache(const Policy& policy, uint32_t budget, uint32_t max_tokens);

  // What throws in step() or prompt() (a plugin, the sink, memory that is used up) leaves the caches that were fed in
  // the middle of it: they can only be destroyed and say so when fed again. All others go on, and so does the engine
  // unless its device failed. A feed that cannot be (too long for its cache, see SequenceCache::check_step and begin)
  // is refused with all caches as they were.

  // One step: every feed's tokens, after what its cache holds, each attending to its own cache; then the
  // policies act. A feed of several tokens is a chunk, with the result of as many steps' attention but one
  // eviction; a policy that evicts takes at most Policy::chunk at a time (one where that is 0). Allocates nothing
  // unless batch or logits outgrow all before.
  void step(std::span<const Feed> feeds, bool exact, const LogitSink& sink);
  // A whole prompt, layer by layer, exact over its own rows (and, with `prefix`, over that cache's: see
  // SequenceCache::begin). The policy acts on each layer once its rows are in.
  void prompt(const Feed& feed, const SequenceCache* prefix, bool exact, const LogitSink& sink);
  // A prompt as the cache's policy asks for it: whole, or in steps of Policy::chunk rows; `want` as of the whole.
  void feed_prompt(SequenceCache& cache, std::span<const int32_t> tokens, Want want, bool exact, const LogitSink& sink);

  // Makes room for steps of so many rows and prompts of so many tokens now, so that activation_bytes() grows no more.
  void reserve(uint32_t step_rows, uint32_t prompt_tokens);

  // The attention of a precision's queue, into which its `watch` looks.
  CacheAttention& attention(bool exact);
  const Weights& weights() const { return *weights_; }
  const Instance& backend() const { return backend_; }

  uint64_t weight_bytes() const { return weights_->bytes(); }
  uint64_t weight_file_bytes() const { return weights_->file_bytes(); }
  uint64_t activation_bytes() const { return activation_bytes_; }
  uint64_t workspace_bytes() const;
  uint64_t decoded_rows() const;

 private:
  struct Lane;  // a queue with its attention
  struct Room;  // device buffers for batches of some size
  Lane& lane(bool exact);
  Arena& row_arena() { return rows_ ? rows_->arena() : *arena_; }
  Activations activations(uint32_t rows);
  void make_room(uint32_t rows, uint32_t logit_rows);
  void make_stream(uint32_t rows);
  void* buffer(uint64_t bytes);
  void drop_buffer(void* address);  // NULL is ignored
  Positions write_positions(Lane& lane, uint32_t rows);
  void run_logits(Lane& lane, sluice_mat x, const LogitSink& sink);

  uint32_t trained_positions() const;
  void check_ranks(const SequenceCache& cache, uint32_t first, uint32_t n) const;
  void tile_done(uint64_t done, uint64_t total) const;

  Registry& registry_;
  std::unique_ptr<ModelFile> file_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Instance backend_;
  sluice_device device_{};
  uint32_t context_ = 0;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<RowStore> rows_;  // where the device's memory is not the host's
  ArenaOwner identity_owner_;
  Piece identity_;
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<KeyRotation> rotation_;
  std::unique_ptr<Lane> exact_, fast_;
  std::unique_ptr<Room> room_;
  std::map<void*, uint64_t> buffers_;  // of the room, with their bytes
  uint64_t activation_bytes_ = 0;
  std::function<void(uint64_t, uint64_t)> prompt_progress_;
  const std::atomic<bool>* stop_ = nullptr;
};

}  // namespace sluice
