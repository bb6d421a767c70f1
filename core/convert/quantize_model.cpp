// See quantize_model.h. Tensors pass through one after the other, in pieces of rows on all threads; memory stays at
// some megabytes whatever the model's size.
#include "core/convert/quantize_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/convert/gguf_metadata.h"
#include "core/convert/output.h"
#include "core/convert/weight_choice.h"
#include "core/model/gguf.h"
#include "core/model/gguf_writer.h"
#include "core/model/model_file.h"
#include "core/quant/quantize.h"
#include "sluice/gguf_types.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRequantizedKey = "sluice.requantized_from";

// A tensor as it is read and as it will be written.
struct Job {
  std::string name;
  uint32_t from = 0;
  std::vector<uint64_t> shape;  // innermost first
  const std::byte* data = nullptr;
  uint64_t bytes = 0;
  WeightChoice to;
  std::function<void()> drop;  // its pages are not needed any more
  uint32_t halves = 0;  // rows are pairs of neighbours in heads of this size, to be written as two halves; 0: as is

  uint64_t cols() const { return shape[0]; }
  uint64_t rows() const {
    uint64_t rows = 1;
    for (size_t i = 1; i < shape.size(); ++i) rows *= shape[i];
    return rows;
  }
};

// The input's row that becomes row `to`: where RoPE's partners are half a head apart instead of neighbours.
uint64_t source_row(uint64_t to, uint32_t head_dim) {
  if (head_dim == 0) return to;
  const uint64_t head = to / head_dim, i = to % head_dim, half = head_dim / 2;
  return head * head_dim + (i < half ? 2 * i : 2 * (i - half) + 1);
}

struct Input {
  std::unique_ptr<GgufFile> gguf;  // one of the two
  std::unique_ptr<ModelFile> model;
  std::vector<Job> jobs;
  std::vector<float> rope_factors;  // data of a job that no file holds
  bool tied = false;
};

Input open_gguf(const fs::path& path) {
  Input input;
  // The check of a whole model first; what is copied afterwards is the file as it lies there.
  input.tied = ModelFile::open(path)->hyper().tied_embeddings;
  input.gguf = std::make_unique<GgufFile>(path);
  for (const GgufTensor& tensor : input.gguf->tensors()) {
    Job job;
    job.name = tensor.name;
    job.from = tensor.type;
    job.shape.assign(tensor.shape.begin(), tensor.shape.begin() + tensor.dims);
    job.data = input.gguf->data(tensor).data();
    job.bytes = tensor.bytes;
    job.drop = [file = input.gguf.get(), offset = tensor.offset, bytes = tensor.bytes] {
      file->file().drop_range(offset, bytes);
    };
    input.jobs.push_back(std::move(job));
  }
  return input;
}

Input open_huggingface(const fs::path& path) {
  Input input;
  input.model = ModelFile::open(path);
  const Hyperparameters& hyper = input.model->hyper();
  input.tied = hyper.tied_embeddings;
  for (const Tensor& tensor : input.model->tensors()) {
    Job job;
    job.name = tensor.name;
    job.from = tensor.type;
    job.shape = {tensor.cols};
    if (tensor.rows != 1) job.shape.push_back(tensor.rows);
    job.data = static_cast<const std::byte*>(tensor.data);
    job.bytes = tensor.bytes;
    job.drop = [model = input.model.get(), &tensor] { model->drop_data(tensor); };
    const bool turns =
        tensor.name.find(".attn_q.") != std::string::npos || tensor.name.find(".attn_k.") != std::string::npos;
    if (turns && hyper.architecture == "qwen2") job.halves = hyper.head_dim;  // the order that GGUF files of qwen2 have
    input.jobs.push_back(std::move(job));
  }
  input.rope_factors = rope_factors(hyper);
  if (!input.rope_factors.empty()) {
    Job job;
    job.name = "rope_freqs.weight";
    job.shape = {input.rope_factors.size()};
    job.data = reinterpret_cast<const std::byte*>(input.rope_factors.data());
    job.bytes = input.rope_factors.size() * sizeof(float);
    job.drop = [] {};
    input.jobs.push_back(std::move(job));
  }
  return input;
}

// The types of weights that lose bits a second time.
std::string requantized_types(const std::vector<Job>& jobs) {
  std::vector<std::string> names;
  for (const Job& job : jobs) {
    if (!is_quantized(job.from) || job.from == job.to.type) continue;
    const std::string name = sluice_gguf_type_info(job.from)->name;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return join(names);
}

class Converter {
 public:
  Converter(const fs::path& in, const QuantizeOptions& options, ThreadPool& pool, GgufWriter& writer)
      : in_(in), options_(options), pool_(pool), writer_(writer) {}

  QuantizedTensor convert(const Job& job, const std::function<void(uint64_t bytes)>& read);

 private:
  // Rows [first, first + count) of the output; adds to the sums of their piece.
  void convert_rows(const Job& job, uint64_t first, uint64_t count, std::byte* out, double& error, double& norm) const;
  void check_values(const Job& job, uint64_t row, std::span<const float> values) const;

  const fs::path& in_;
  const QuantizeOptions& options_;
  ThreadPool& pool_;
  GgufWriter& writer_;
};

void Converter::check_values(const Job& job, uint64_t row, std::span<const float> values) const {
  float top = 0;
  bool finite = true;
  for (const float v : values) {
    top = std::max(top, std::fabs(v));
    finite &= std::isfinite(v);
  }
  const auto fail = [&](const std::string& what) {
    throw Error(fmt::format("{}: tensor \"{}\", row {}: {}", in_.string(), printable(job.name), row, what));
  };
  if (!finite) fail("holds a value that is not a finite number: the file is damaged or its training diverged");
  if (job.to.type == SLUICE_GGUF_F16 && top > 65504)
    fail(fmt::format("holds {:g}, which is beyond F16's 65504; BF16 can hold it", top));
}

void Converter::convert_rows(const Job& job, uint64_t first, uint64_t count, std::byte* out, double& error,
                             double& norm) const {
  const uint64_t cols = job.cols(), from_bytes = sluice_gguf_row_bytes(job.from, cols),
                 to_bytes = sluice_gguf_row_bytes(job.to.type, cols);
  std::vector<float> values(cols), back(cols);
  for (uint64_t row = first; row < first + count; ++row, out += to_bytes) {
    const uint64_t from = source_row(row, job.halves);
    sluice_gguf_dequantize(job.from, job.data + from * from_bytes, cols, values.data());
    check_values(job, from, values);
    if (job.from == job.to.type) {
      std::memcpy(out, job.data + from * from_bytes, from_bytes);
      for (const float v : values) norm += double(v) * v;
      continue;
    }
    quantize(job.to.type, values.data(), cols, out);
    sluice_gguf_dequantize(job.to.type, out, cols, back.data());
    for (uint64_t i = 0; i < cols; ++i) {
      const double miss = double(values[i]) - back[i];
      error += miss * miss;
      norm += double(values[i]) * values[i];
    }
  }
}

QuantizedTensor Converter::convert(const Job& job, const std::function<void(uint64_t)>& read) {
  QuantizedTensor result;
  result.name = job.name;
  result.from = job.from, result.to = job.to.type;
  result.rows = job.rows(), result.cols = job.cols();
  result.reason = job.to.reason, result.fallback = job.to.fallback;
  const uint64_t bytes = sluice_gguf_row_bytes(job.to.type, job.cols());
  const uint64_t from_bytes = sluice_gguf_row_bytes(job.from, job.cols());
  // Sums by piece, added in the order of rows: the figures do not depend on which thread was faster.
  struct Sums {
    double error = 0, norm = 0;
  };
  std::vector<std::pair<uint64_t, Sums>> sums;
  std::mutex mutex;
  // A vector's entries move like rows of one number.
  const bool entries = job.halves != 0 && result.rows == 1;
  Job unit = job;
  if (entries) unit.shape = {1, job.cols()};
  const uint64_t rows = unit.rows(), out_bytes = entries ? sluice_gguf_row_bytes(job.to.type, 1) : bytes;
  stream_rows(
      rows, out_bytes, pool_,
      [&](uint64_t first, uint64_t count, std::byte* out) {
        Sums piece;
        convert_rows(unit, first, count, out, piece.error, piece.norm);
        const std::lock_guard lock(mutex);
        sums.emplace_back(first, piece);
      },
      [&](std::span<const std::byte> made) {
        writer_.write(made);
        result.bytes += made.size();
        read(entries ? from_bytes : made.size() / out_bytes * from_bytes);
      });
  std::sort(sums.begin(), sums.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [first, piece] : sums) {
    result.squared_error += piece.error;
    result.squared_norm += piece.norm;
  }
  job.drop();
  return result;
}

}  // namespace

QuantizeReport quantize_model(const fs::path& in, const fs::path& out, const QuantizeOptions& options,
                              ThreadPool& pool) {
  check_output(in, out, options.force, 0);  // before reading what may take long
  Input input = fs::is_directory(in) ? open_huggingface(in) : open_gguf(in);
  QuantizeReport report;
  uint64_t bytes_out = 0;
  for (Job& job : input.jobs) {
    const bool vector = job.rows() == 1;
    job.to = choose_weight_type(job.name, vector, job.cols(), options.type, input.tied, options.pure);
    if (vector) job.to.type = job.from;  // F32, or as a GGUF file has it
    report.bytes_in += job.bytes;
    bytes_out += job.rows() * sluice_gguf_row_bytes(job.to.type, job.cols());
  }
  report.requantized_from = requantized_types(input.jobs);
  if (!report.requantized_from.empty() && !options.requantize) {
    throw Error(
        fmt::format("{}: its weights are quantized already ({}); quantizing them again loses quality twice. Use the "
                    "original weights, or --requantize if that is what you want",
                    in.string(), report.requantized_from));
  }
  check_output(in, out, options.force, bytes_out);

  GgufWriter writer(out);
  std::string label = report.requantized_from;
  if (input.gguf) {
    for (const GgufEntry& entry : input.gguf->entries()) {
      if (entry.key == "general.file_type" || entry.key == "general.quantization_version") continue;
      if (entry.key == kRequantizedKey) {
        const std::string before(input.gguf->text(kRequantizedKey).value_or(""));
        label = label.empty() ? before : before + ", then " + label;
        continue;
      }
      writer.copy(entry);
    }
  } else {
    set_metadata(writer, input.model->hyper(), input.model->vocabulary());
    report.vocabulary_converted = input.model->vocabulary().model == Vocabulary::Model::kMergeBpe;
  }
  writer.set("general.file_type", gguf_file_type(options.type));
  writer.set("general.quantization_version", uint32_t(2));  // of the block formats
  if (!label.empty()) writer.set(kRequantizedKey, label);
  for (const Job& job : input.jobs) writer.add_tensor(job.name, job.to.type, job.shape);

  Converter converter(in, options, pool, writer);
  uint64_t done = 0;
  for (const Job& job : input.jobs) {
    report.tensors.push_back(converter.convert(job, [&](uint64_t bytes) {
      check_interrupt(options.stop, out);
      done += bytes;
      if (options.progress) options.progress(done, report.bytes_in, job.name);
    }));
    report.bytes_out += report.tensors.back().bytes;
  }
  writer.finish();
  return report;
}

}  // namespace sluice
