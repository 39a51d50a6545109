#include "api/loading_stream.h"

#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

#include "base/cat.h"
#include "base/error.h"

namespace minke::api {
namespace {

/// What the stream and the pool's thread share.
struct Late {
  std::mutex mutex;
  bool gone = false;  ///< nobody waits any more
  std::optional<std::variant<Answer, ApiError>> result;
};

/// Whatever is wrong with a model's files or with the memory, it is not the request.
ApiError load_error(const base::Error& error) {
  const ApiError plain = ApiError::from(error);
  return error.code() == base::ErrorCode::overloaded ? plain : ApiError(Fault::internal, plain.message());
}

std::variant<Answer, ApiError> answer(LateCall& late, LoadOutcome&& outcome) {
  if (outcome.error) return load_error(*outcome.error);
  late.call.model = std::move(outcome.model);
  late.call.patient = true;
  try {
    return late.answer(late.call);
  } catch (const ApiError& error) {
    return error;
  } catch (const base::Error& error) {
    return ApiError::from(error);
  } catch (const ModelAbsent& absent) {
    return ApiError(Fault::internal, base::cat("internal error: ", absent.name, " is loaded, and was not found"));
  } catch (const std::exception& error) {
    return ApiError(Fault::internal, base::cat("internal error: ", error.what()));
  }
}

class LoadingStream final : public Stream {
 public:
  LoadingStream(ModelPool& pool, const ModelAbsent& absent, LateCall&& late)
      : name_(absent.name), piece_(absent.piece), failed_(absent.failed), events_(absent.events) {
    const auto offer = pool.source().find(absent.name);
    if (!offer) throw ApiError(Fault::unknown_model, base::cat("the model \"", absent.name, "\" is gone"), "model");
    auto call = std::make_shared<LateCall>(std::move(late));
    auto tell = [shared = late_, call, asked = std::chrono::steady_clock::now()](LoadOutcome outcome) {
      {
        const std::lock_guard lock(shared->mutex);
        if (shared->gone) return;
      }
      call->call.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count();
      auto result = answer(*call, std::move(outcome));
      const std::function<void()> notify = call->call.notify;
      call->body.reset();
      call->call.model.reset();
      {
        const std::lock_guard lock(shared->mutex);
        if (shared->gone) return;  // the reply ends with `result`
        shared->result = std::move(result);
      }
      if (notify) notify();
    };
    try {
      progress_ = pool.when_ready(*offer, absent.idle, std::move(tell));
    } catch (const base::Error& error) {
      throw ApiError::from(error);
    }
  }
  ~LoadingStream() override {
    std::optional<std::variant<Answer, ApiError>> unread;
    const std::lock_guard lock(late_->mutex);
    late_->gone = true;
    unread.swap(late_->result);
  }
  LoadingStream(const LoadingStream&) = delete;
  LoadingStream& operator=(const LoadingStream&) = delete;

  bool is_events() const noexcept override { return stream_ ? stream_->is_events() : events_; }
  bool holds_head() const noexcept override { return stream_ ? stream_->holds_head() : true; }
  std::string_view content_type() const noexcept override {
    if (stream_) return stream_->content_type();
    if (!events_) return "application/json";
    return piece_.empty() ? "text/event-stream; charset=utf-8" : "application/x-ndjson";
  }

  State poll(std::string& out) override {
    if (!stream_ && !error_) {
      std::optional<std::variant<Answer, ApiError>> result;
      {
        const std::lock_guard lock(late_->mutex);
        result.swap(late_->result);
      }
      if (!result) return State::waiting;
      if (auto* error = std::get_if<ApiError>(&*result)) {
        error_ = std::move(*error);
        if (events_ && failed_) out += failed_(*error_);  // unsent if the response's head still is
        return State::broken;
      }
      auto& answer = std::get<Answer>(*result);
      if (const auto* response = std::get_if<Response>(&answer)) {
        out += response->body;
        return State::done;
      }
      stream_ = std::get<std::unique_ptr<Stream>>(std::move(answer));
    }
    return error_ ? State::broken : stream_->poll(out);
  }

  void keep_alive(std::string& out) const override {
    if (stream_) return stream_->keep_alive(out);
    if (!events_) {
      out += "\n";
    } else if (piece_.empty()) {
      out += base::cat(": keep-alive, ", progress_->text(name_), "\n\n");
    } else {
      out += piece_;
    }
  }

  const std::optional<ApiError>& error() const noexcept override { return stream_ ? stream_->error() : error_; }
  const Spent& spent() const noexcept override { return stream_ ? stream_->spent() : nothing_; }
  double estimated_wait() const noexcept override { return stream_ ? stream_->estimated_wait() : 0; }
  std::string_view model() const noexcept override { return stream_ ? stream_->model() : name_; }
  std::string_view warning() const noexcept override { return stream_ ? stream_->warning() : std::string_view(); }

 private:
  std::string name_, piece_;
  std::function<std::string(const ApiError&)> failed_;
  bool events_;
  std::shared_ptr<Late> late_ = std::make_shared<Late>();
  std::shared_ptr<const LoadProgress> progress_;
  std::unique_ptr<Stream> stream_;  ///< the model's, once it is there
  std::optional<ApiError> error_;
  Spent nothing_;
};

}  // namespace

std::unique_ptr<Stream> make_loading_stream(ModelPool& pool, const ModelAbsent& absent, LateCall late) {
  return std::make_unique<LoadingStream>(pool, absent, std::move(late));
}

}  // namespace minke::api
