// Drivers of other runtimes: small shell scripts that answer, keep silent, die or talk nonsense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <csignal>

#include "core/base/error.h"
#include "core/bench/peer.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr double kPatient = 60;  // seconds: more than any of these takes

std::vector<std::string> script(const std::string& text) { return {"/bin/sh", "-c", text}; }
// Answers every "go" as said.
std::string answering(const std::string& answer) { return "while read word; do " + answer + "; done"; }

class BenchPeer : public ::testing::Test {
 protected:
  BenchPeer() { std::signal(SIGPIPE, SIG_IGN); }  // as main() has it
  // What asking it says.
  static std::string complaint(const std::string& text, double limit = kPatient) {
    try {
      Peer peer(script(text), limit, nullptr);
      peer.turn();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kExitFailed);
      return error.what();
    }
    return "";
  }
};

TEST_F(BenchPeer, AnswersAreTokensAndSeconds) {
  const Slice slice = parse_answer("64 7.5", 10);
  EXPECT_EQ(slice.tokens, 64);
  EXPECT_EQ(slice.seconds, 7.5);
  EXPECT_EQ(parse_answer("  1e2   0.5 \r", 1).tokens, 100);
  for (const char* nonsense :
       {"", "64", "64 7.5 9", "64 s", "-64 7.5", "0 1", "64 0", "64 -1", "nan 1", "64 inf", "go"})
    EXPECT_THROW(parse_answer(nonsense, 10), Error) << nonsense;
}

TEST_F(BenchPeer, NobodyWorksLongerThanTimePasses) {
  EXPECT_NO_THROW(parse_answer("64 1.01", 1.0)) << "rounded";
  EXPECT_THROW(parse_answer("64 1.1", 1.0), Error);
  EXPECT_THAT(complaint(answering("echo 64 1000")), HasSubstr("answered \"64 1000\" after "));
}

TEST_F(BenchPeer, ItIsAskedUntilATurnIsLongEnough) {
  // Each answer is worth 0.1 s: three of them fill a turn.
  Peer peer(script(answering("sleep 0.1; echo 2 0.1")), kPatient, nullptr);
  for (int turn = 0; turn < 2; turn++) {
    const Slice slice = peer.turn();
    EXPECT_EQ(slice.tokens, 6);
    EXPECT_NEAR(slice.seconds, 0.3, 1e-12);
  }
}

TEST_F(BenchPeer, ItMaySayWhatItIs) {
  Peer peer(script("echo '# other 1.2, -t 2'; " + answering("sleep 0.3; echo 1 0.3")), kPatient, nullptr);
  EXPECT_THAT(peer.description(), HasSubstr("/bin/sh -c")) << "until it says so";
  peer.turn();
  EXPECT_EQ(peer.description(), "other 1.2, -t 2");
}

TEST_F(BenchPeer, DeathIsTold) {
  EXPECT_THAT(complaint("read word; exit 3"), HasSubstr("ended with exit code 3 without an answer"));
  EXPECT_THAT(complaint("exit 0"), HasSubstr("ended with exit code 0 without an answer"));
  EXPECT_THAT(complaint("read word; kill -SEGV $$"), AllOf(HasSubstr("died of "), HasSubstr("signal 11")));
}

TEST_F(BenchPeer, SilenceHasALimit) {
  EXPECT_THAT(complaint("read word; sleep 60", 0.2),
              HasSubstr("has not answered \"go\" for 0.2 s; --versus-limit allows more"));
}

TEST_F(BenchPeer, NonsenseIsShown) {
  EXPECT_THAT(complaint(answering("echo loading the model")),
              HasSubstr("answered \"loading the model\"; an answer is tokens and seconds, as in \"64 7.31\""));
  EXPECT_THAT(complaint("head -c 10000 /dev/zero | tr '\\0' x; sleep 60"), HasSubstr("a line of more than 4096 bytes"));
}

TEST_F(BenchPeer, WhatCannotBeStartedIsAMistakeOfTheCommandLine) {
  for (const std::vector<std::string>& command : {std::vector<std::string>{"/no/such/driver", "x"}, {}}) {
    try {
      Peer peer(command, kPatient, nullptr);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kExitUsage);
      EXPECT_THAT(error.what(), HasSubstr("cannot be started: No such file"));
    }
  }
}

// It gets the end of its stdin, and what does not heed it is killed.
TEST_F(BenchPeer, NobodyIsLeftBehind) {
  pid_t stubborn = 0;
  {
    Peer peer(script("echo \"# $$\"; trap '' TERM; read word; sleep 0.3; echo 1 0.3; while :; do sleep 60; done"),
              kPatient, nullptr);
    peer.turn();
    stubborn = pid_t(std::stol(peer.description()));
    EXPECT_EQ(kill(stubborn, 0), 0);
  }
  EXPECT_EQ(kill(stubborn, 0), -1);
}

TEST_F(BenchPeer, AnInterruptIsHeard) {
  const std::atomic<bool> stop{true};
  Peer peer(script("read word; sleep 60"), kPatient, &stop);
  EXPECT_THROW(peer.turn(), Error);
}

}  // namespace
}  // namespace sluice
