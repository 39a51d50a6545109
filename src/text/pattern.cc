#include "text/pattern.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <utility>

#include "base/error.h"

namespace minke::text {
namespace {

using base::cat;
using base::Error;
using base::ErrorCode;
using Set = std::bitset<256>;

constexpr std::size_t kMaxDepth = 50;
constexpr std::size_t kMaxRepeat = 1000;
constexpr std::size_t kEndless = ~std::size_t{0};

struct Node {
  enum class Kind { bytes, row, choice, repeat, group, text_begin, text_end } kind = Kind::row;
  Set set;                          // bytes
  std::size_t least = 0, most = 0;  // repeat
  bool greedy = true;               // repeat
  bool first_group = false;         // group
  std::vector<std::unique_ptr<Node>> parts;
};

Set range(unsigned low, unsigned high) {
  Set set;
  for (unsigned c = low; c <= high; ++c) set.set(c);
  return set;
}

Set one(char c) {
  Set set;
  set.set(static_cast<unsigned char>(c));
  return set;
}

std::optional<Set> named_set(char name) {
  switch (name) {
    case 'd':
      return range('0', '9');
    case 'D':
      return ~range('0', '9');
    case 'w':
      return range('0', '9') | range('a', 'z') | range('A', 'Z') | one('_');
    case 'W':
      return ~*named_set('w');
    case 's':
      return range('\t', '\r') | one(' ');
    case 'S':
      return ~*named_set('s');
    case 'n':
      return one('\n');
    case 'r':
      return one('\r');
    case 't':
      return one('\t');
    default:
      break;
  }
  return std::ispunct(static_cast<unsigned char>(name)) != 0 ? std::optional(one(name)) : std::nullopt;
}

}  // namespace

/// Text to nodes, nodes to a program.
class PatternParser {
 public:
  PatternParser(std::string_view text, Pattern& pattern) : text_(text), pattern_(pattern) {}

  void run() {
    const std::unique_ptr<Node> root = choice(0);
    if (at_ < text_.size()) refuse("a ')' without its '('");
    add({Pattern::Op::save, 0});
    emit(*root);
    add({Pattern::Op::save, 1});
    add({Pattern::Op::match});
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error(ErrorCode::invalid_argument, cat("regular expression, at byte ", at_, ": ", what));
  }
  bool more() const { return at_ < text_.size(); }
  bool take(char c) {
    if (!more() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::unique_ptr<Node> choice(std::size_t depth) {
    if (depth > kMaxDepth) refuse(cat("more than ", kMaxDepth, " groups in one another"));
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::choice;
    do node->parts.push_back(row(depth));
    while (take('|'));
    return node;
  }

  std::unique_ptr<Node> row(std::size_t depth) {
    auto node = std::make_unique<Node>();
    while (more() && text_[at_] != '|' && text_[at_] != ')') node->parts.push_back(repeated(atom(depth)));
    return node;
  }

  std::unique_ptr<Node> atom(std::size_t depth) {
    auto node = std::make_unique<Node>();
    const char c = text_[at_++];
    switch (c) {
      case '(':
        node->kind = Node::Kind::group;
        if (take('?')) {
          if (!take(':')) refuse("of the groups that begin with \"(?\", only \"(?:\" is known");
        } else {
          node->first_group = !std::exchange(grouped_, true);
        }
        node->parts.push_back(choice(depth + 1));
        if (!take(')')) refuse("a '(' without its ')'");
        return node;
      case '^':
        node->kind = Node::Kind::text_begin;
        return node;
      case '$':
        node->kind = Node::Kind::text_end;
        return node;
      case '*':
      case '+':
      case '?':
      case '{':
        --at_;
        refuse("a repetition of nothing (write \\ before the character to mean itself)");
      default:
        break;
    }
    node->kind = Node::Kind::bytes;
    node->set = c == '[' ? bracket() : c == '.' ? ~one('\n') : c == '\\' ? escape() : one(c);
    return node;
  }

  Set escape() {
    if (!more()) refuse("a \\ at the end");
    const std::optional<Set> set = named_set(text_[at_++]);
    if (!set) refuse("an unknown escape");
    return *set;
  }

  Set bracket() {
    const bool inverted = take('^');
    Set set;
    for (bool first = true; !take(']') || first; first = false) {
      if (first && at_ > 0 && text_[at_ - 1] == ']' && set.none()) {
        // "[]...": a bracket that comes first means itself.
        set |= one(']');
        continue;
      }
      if (!more()) refuse("a '[' without its ']'");
      const Set low = class_member();
      if (low.count() == 1 && at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
        ++at_;
        const Set high = class_member();
        if (high.count() != 1 || lowest(high) < lowest(low)) refuse("a range that ends before it begins");
        set |= range(lowest(low), lowest(high));
      } else {
        set |= low;
      }
    }
    return inverted ? ~set : set;
  }

  Set class_member() {
    const char c = text_[at_++];
    if (static_cast<unsigned char>(c) >= 0x80) refuse("a character beyond ASCII between [ and ]");
    return c == '\\' ? escape() : one(c);
  }

  static unsigned lowest(const Set& set) {
    unsigned i = 0;
    while (!set.test(i)) ++i;
    return i;
  }

  std::unique_ptr<Node> repeated(std::unique_ptr<Node> what) {
    while (more()) {
      std::size_t least = 0, most = kEndless;
      if (take('*')) {
      } else if (take('+')) {
        least = 1;
      } else if (take('?')) {
        most = 1;
      } else if (take('{')) {
        least = most = number();
        if (take(',')) most = more() && text_[at_] != '}' ? number() : kEndless;
        if (!take('}')) refuse("expected '}'");
        if (most < least) refuse("a repetition whose most is less than its least");
      } else {
        break;
      }
      auto node = std::make_unique<Node>();
      node->kind = Node::Kind::repeat;
      node->least = least;
      node->most = most;
      node->greedy = !take('?');
      node->parts.push_back(std::move(what));
      what = std::move(node);
      if (++repeats_ > kMaxDepth) refuse(cat("more than ", kMaxDepth, " repetitions"));
    }
    return what;
  }

  std::size_t number() {
    std::size_t value = 0;
    const std::size_t begin = at_;
    while (more() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0) {
      value = value * 10 + static_cast<std::size_t>(text_[at_++] - '0');
      if (value > kMaxRepeat) refuse(cat("a repetition of more than ", kMaxRepeat));
    }
    if (at_ == begin) refuse("expected a number");
    return value;
  }

  std::uint32_t add(Pattern::Instruction instruction) {
    if (pattern_.program_.size() >= Pattern::kMaxProgram)
      throw Error(ErrorCode::invalid_argument,
                  cat("regular expression: with its repetitions written out it is longer than ", Pattern::kMaxProgram));
    pattern_.program_.push_back(instruction);
    return here() - 1;
  }
  std::uint32_t here() const { return static_cast<std::uint32_t>(pattern_.program_.size()); }

  void emit(const Node& node) {
    switch (node.kind) {
      case Node::Kind::bytes:
        add({Pattern::Op::bytes, static_cast<std::uint32_t>(pattern_.sets_.size())});
        pattern_.sets_.push_back(node.set);
        return;
      case Node::Kind::text_begin:
        add({Pattern::Op::text_begin});
        return;
      case Node::Kind::text_end:
        add({Pattern::Op::text_end});
        return;
      case Node::Kind::row:
        for (const auto& part : node.parts) emit(*part);
        return;
      case Node::Kind::group:
        if (node.first_group) add({Pattern::Op::save, 2});
        emit(*node.parts[0]);
        if (node.first_group) add({Pattern::Op::save, 3});
        return;
      case Node::Kind::choice:
        emit_choice(node);
        return;
      case Node::Kind::repeat:
        emit_repeat(node);
        return;
    }
  }

  void emit_choice(const Node& node) {
    std::vector<std::uint32_t> jumps;
    for (std::size_t i = 0; i + 1 < node.parts.size(); ++i) {
      const std::uint32_t split = add({Pattern::Op::split, here() + 1});
      emit(*node.parts[i]);
      jumps.push_back(add({Pattern::Op::jump}));
      pattern_.program_[split].second = here();
    }
    emit(*node.parts.back());
    for (const std::uint32_t jump : jumps) pattern_.program_[jump].first = here();
  }

  void emit_repeat(const Node& node) {
    const Node& what = *node.parts[0];
    for (std::size_t i = 0; i < node.least; ++i) emit(what);
    if (node.most == kEndless) {
      const std::uint32_t split = add({Pattern::Op::split});
      emit(what);
      add({Pattern::Op::jump, split});
      prefer(split, split + 1, here(), node.greedy);
      return;
    }
    std::vector<std::uint32_t> splits;
    for (std::size_t i = node.least; i < node.most; ++i) {
      splits.push_back(add({Pattern::Op::split}));
      emit(what);
    }
    for (const std::uint32_t split : splits) prefer(split, split + 1, here(), node.greedy);
  }

  void prefer(std::uint32_t split, std::uint32_t inside, std::uint32_t outside, bool greedy) {
    pattern_.program_[split].first = greedy ? inside : outside;
    pattern_.program_[split].second = greedy ? outside : inside;
  }

  std::string_view text_;
  Pattern& pattern_;
  std::size_t at_ = 0;
  std::size_t repeats_ = 0;  // each lets a node hold one more: bounds how deep they go
  bool grouped_ = false;
};

/// What one search needs; `seen` tells at which step an instruction was last reached.
struct Pattern::Scratch {
  std::vector<Thread> threads, next, stack;
  std::vector<std::uint64_t> seen;
  std::uint64_t step = 0, work = 0;
};

Pattern::Pattern(std::string_view pattern) {
  if (pattern.empty() || pattern.size() > kMaxPattern)
    throw Error(ErrorCode::invalid_argument,
                cat("regular expression: expected 1 to ", kMaxPattern, " bytes, got ", pattern.size()));
  PatternParser(pattern, *this).run();
}

/// Adds where `thread` gets without a byte, in order of preference.
void Pattern::follow(Scratch& scratch, std::vector<Thread>& into, Thread thread, std::string_view text,
                     std::size_t position) const {
  scratch.stack.push_back(thread);
  while (!scratch.stack.empty()) {
    Thread now = scratch.stack.back();
    scratch.stack.pop_back();
    if (scratch.seen[now.at] == scratch.step) continue;
    scratch.seen[now.at] = scratch.step;
    ++scratch.work;
    const Instruction& instruction = program_[now.at];
    switch (instruction.op) {
      case Op::bytes:
      case Op::match:
        into.push_back(now);
        break;
      case Op::jump:
        now.at = instruction.first;
        scratch.stack.push_back(now);
        break;
      case Op::split: {
        Thread other = now;
        other.at = instruction.second;
        now.at = instruction.first;
        scratch.stack.push_back(other);
        scratch.stack.push_back(now);
        break;
      }
      case Op::save:
        now.slots[instruction.first] = position;
        ++now.at;
        scratch.stack.push_back(now);
        break;
      case Op::text_begin:
      case Op::text_end:
        if (position != (instruction.op == Op::text_begin ? 0 : text.size())) break;
        ++now.at;
        scratch.stack.push_back(now);
        break;
    }
  }
}

std::optional<Pattern::Thread> Pattern::search(Scratch& scratch, std::string_view text, std::size_t from) const {
  std::optional<Thread> best;
  scratch.threads.clear();
  for (std::size_t position = from;; ++position) {
    // New threads come last: what began before is preferred, and once there is a match nothing begins.
    ++scratch.step;
    scratch.next.clear();
    for (const Thread& thread : scratch.threads) follow(scratch, scratch.next, thread, text, position);
    if (!best) follow(scratch, scratch.next, Thread{}, text, position);
    scratch.threads.clear();
    if (scratch.next.empty() && best) return best;
    for (const Thread& thread : scratch.next) {
      const Instruction& instruction = program_[thread.at];
      if (instruction.op == Op::match) {
        best = thread;
        break;  // those after it are less preferred
      }
      if (position < text.size() && sets_[instruction.first].test(static_cast<unsigned char>(text[position]))) {
        scratch.threads.push_back(thread);
        ++scratch.threads.back().at;
      }
    }
    if (scratch.work > kMaxWork)
      throw Error(ErrorCode::overloaded, "regular expression: the search takes too long in this text");
    if (position == text.size()) return best;
  }
}

std::optional<Pattern::Match> Pattern::find_last(std::string_view text) const {
  Scratch scratch;
  scratch.seen.assign(program_.size(), 0);
  std::optional<Match> last;
  for (std::size_t from = 0; from <= text.size();) {
    const std::optional<Thread> found = search(scratch, text, from);
    if (!found) break;
    const auto& slots = found->slots;
    last = Match{slots[0], slots[1], std::nullopt};
    if (slots[2] != kUnset && slots[3] != kUnset && slots[3] >= slots[2])
      last->group = text.substr(slots[2], slots[3] - slots[2]);
    from = slots[1] > slots[0] ? slots[1] : slots[1] + 1;
  }
  return last;
}

}  // namespace minke::text
