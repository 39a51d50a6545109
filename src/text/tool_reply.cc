#include "text/tool_reply.h"

#include <algorithm>
#include <utility>

namespace minke::text {

ToolReplyParser::ToolReplyParser(const ChatEncoding& encoding, std::shared_ptr<const std::vector<Tool>> tools,
                                 bool starts_in_thinking, const std::function<bool(std::string_view)>& is_token)
    : format_(encoding.tool_format()),
      tools_(std::move(tools)),
      think_begin_(encoding.think_begin()),
      think_end_(encoding.think_end()),
      thoughts_(think_begin_, think_end_, starts_in_thinking),
      reader_(new_reader()) {
  // The first spelling of a kind is the vocabulary's. If it is a token, no other spelling counts.
  std::vector<Marker> spelled;
  std::vector<Marker> drawn;
  for (MarkerSpelling& one : marker_spellings(format_)) {
    if (std::ranges::find(spelled, one.marker) == spelled.end()) {
      spelled.push_back(one.marker);
      if (is_token(one.spelling)) {
        drawn.push_back(one.marker);
        tokens_.push_back(std::move(one));
        continue;
      }
    }
    if (std::ranges::find(drawn, one.marker) == drawn.end()) words_.push_back(std::move(one));
  }
}

void ToolReplyParser::push(std::string_view text, Parts& parts) {
  if (text.empty()) return;
  PartSink out(parts);
  if (probe_) {
    probe([this, text](PartSink& sink) { probe_->text(text, sink); }, text, out);
    return;
  }
  take(thoughts_.push(text), out);
  last_thought_ = text.back();
}

void ToolReplyParser::take(ReplyDelta&& delta, PartSink& out) {
  out.thinking(delta.thinking);
  content(delta.content, out);
}

void ToolReplyParser::content(std::string_view text, PartSink& out) {
  if (text.empty()) return;
  if (!reader_) {
    out.content(text);
  } else if (words_.empty()) {
    reader_->text(text, out);
  } else {
    pending_.append(text);
    scan(/*last=*/false, out);
  }
}

const MarkerSpelling* ToolReplyParser::spelled_at(std::string_view text, bool& partial) const {
  partial = false;
  for (const MarkerSpelling& word : words_) {
    if (text.starts_with(word.spelling)) return &word;
    if (text.size() < word.spelling.size() && std::string_view(word.spelling).starts_with(text)) partial = true;
  }
  return nullptr;
}

// Every marker begins with "<".
void ToolReplyParser::scan(bool last, PartSink& out) {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const std::size_t begin = std::min(rest.find('<'), rest.size());
    if (begin > 0) reader_->text(rest.substr(0, begin), out);
    rest.remove_prefix(begin);
    if (rest.empty()) break;
    bool partial = false;
    const MarkerSpelling* word = spelled_at(rest, partial);
    if (word != nullptr && !reader_->in_string()) {
      reader_->marker(word->marker, word->spelling, out);
      rest.remove_prefix(word->spelling.size());
    } else if (word == nullptr && partial && !last) {
      break;
    } else {
      reader_->text("<", out);
      rest.remove_prefix(1);
    }
  }
  pending_.erase(0, pending_.size() - rest.size());
}

void ToolReplyParser::push_control(std::string_view spelling, Parts& parts) {
  PartSink out(parts);
  if (spelling == think_begin_ || spelling == think_end_) {
    if (probe_) drop_probe(out);
    if (interrupted_ && spelling == think_end_) {
      interrupted_ = false;
      return;
    }
    take(thoughts_.push(spelling), out);
    return;
  }
  const auto token = std::ranges::find(tokens_, spelling, &MarkerSpelling::spelling);
  if (token == tokens_.end() || !reader_) return;
  if (probe_) {
    probe([this, &token](PartSink& sink) { probe_->marker(token->marker, token->spelling, sink); }, spelling, out);
    return;
  }
  if (!thoughts_.in_thinking()) {
    take(thoughts_.interrupt(), out);
    if (!words_.empty()) scan(/*last=*/true, out);
    reader_->marker(token->marker, token->spelling, out);
    return;
  }
  const bool begins = token->marker == Marker::call_begin || token->marker == Marker::calls_begin;
  if (!begins || last_thought_ == '`') {
    take(thoughts_.push(spelling), out);  // thoughts about markers
    return;
  }
  probe_ = new_reader();
  probed_.clear();
  probe([this, &token](PartSink& sink) { probe_->marker(token->marker, token->spelling, sink); }, spelling, out);
}

// Inside thinking a marker begins a call only if a call follows; else it was a thought.
void ToolReplyParser::probe(const std::function<void(PartSink&)>& feed, std::string_view said, PartSink& out) {
  Parts found;
  PartSink sink(found);
  feed(sink);
  probed_.append(said);
  if (found.empty()) {
    if (probe_->idle()) drop_probe(out);
    return;
  }
  if (found.front().kind != ReplyPart::Kind::call) {
    drop_probe(out);
    return;
  }
  ReplyDelta thought = thoughts_.interrupt();
  out.thinking(thought.thinking);
  out.content(thought.content);
  interrupted_ = true;
  reader_ = std::move(probe_);
  probed_.clear();
  for (ReplyPart& part : found) out.add(std::move(part));
}

void ToolReplyParser::drop_probe(PartSink& out) {
  probe_.reset();
  const std::string text = std::exchange(probed_, {});
  last_thought_ = text.empty() ? last_thought_ : text.back();
  take(thoughts_.push(text), out);
}

void ToolReplyParser::finish(bool cut, Parts& parts) {
  PartSink out(parts);
  if (probe_) {
    Parts found;
    PartSink sink(found);
    probe_->finish(cut, sink);
    if (!found.empty() && found.front().kind == ReplyPart::Kind::call) {
      ReplyDelta thought = thoughts_.interrupt();
      out.thinking(thought.thinking);
      for (ReplyPart& part : found) out.add(std::move(part));
      probe_.reset();
      return;
    }
    drop_probe(out);
  }
  take(thoughts_.finish(), out);
  if (!reader_) return;
  if (!words_.empty()) scan(/*last=*/true, out);
  reader_->finish(cut, out);
}

}  // namespace minke::text
