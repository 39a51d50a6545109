// Streams over a generation's pieces: those of chats and completions, and what they share with others.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "api/answer.h"
#include "api/reply_format.h"

namespace minke::api {

/// What is the same for every kind of reply.
class ReplyStream : public Stream {
 public:
  ReplyStream(std::unique_ptr<Generation> generation, bool events)
      : generation_(std::move(generation)), events_(events) {}

  bool is_events() const noexcept override { return events_; }
  State poll(std::string& out) override;
  const std::optional<ApiError>& error() const noexcept override { return error_; }
  const Spent& spent() const noexcept override { return generation_->spent(); }
  double estimated_wait() const noexcept override { return generation_->estimated_wait(); }

 protected:
  /// Before everything else.
  virtual void begin(std::string& /*out*/) {}
  virtual void take(Generation::Piece&& piece, std::string& out) = 0;
  /// There is nothing more for now.
  virtual void rest(std::string& /*out*/) {}
  virtual void complete(std::string& out) = 0;
  virtual void fail(const ApiError& /*error*/, std::string& /*out*/) {}

  Generation& generation() const noexcept { return *generation_; }

 private:
  State end_broken(ApiError error, std::string& out);

  std::unique_ptr<Generation> generation_;
  bool events_;
  bool begun_ = false;
  std::optional<ApiError> error_;
};

struct StreamOptions {
  bool events = false;
  bool include_usage = false;
  bool progress = false;  ///< chunks that tell of the queue and of the prompt
  Dialect dialect = Dialect::openai;
};

/// Of chats and completions: pieces of text in a format, as server-sent events or as one document.
std::unique_ptr<Stream> make_reply_stream(std::unique_ptr<Generation> generation, std::unique_ptr<ReplyFormat> format,
                                          const StreamOptions& options);

}  // namespace minke::api
