#include "cli/line_editor.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

namespace minke::cli {
namespace {

// A terminal of our own: the test types into the master side.
class Terminal {
 public:
  Terminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    ::grantpt(master_);
    ::unlockpt(master_);
    ::setenv("TERM", "xterm", 1);
    // Not as a controlling terminal: when that is closed, a session's leader is sent SIGHUP.
    in = ::fdopen(::open(::ptsname(master_), O_RDONLY | O_NOCTTY), "r");
    out = ::fdopen(::open(::ptsname(master_), O_WRONLY | O_NOCTTY), "w");
  }
  ~Terminal() {
    std::fclose(in);
    std::fclose(out);
    ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(std::string_view keys) const { ASSERT_EQ(::write(master_, keys.data(), keys.size()), std::ssize(keys)); }

  // What has been shown until now.
  std::string shown() const {
    std::string text;
    pollfd waiting = {master_, POLLIN, 0};
    while (::poll(&waiting, 1, 10) > 0) {
      char buffer[4096];
      const ssize_t size = ::read(master_, buffer, sizeof buffer);
      if (size <= 0) break;
      text.append(buffer, static_cast<std::size_t>(size));
    }
    return text;
  }

  bool echoes() const {
    termios modes = {};
    ::tcgetattr(::fileno(in), &modes);
    return (modes.c_lflag & ECHO) != 0 && (modes.c_lflag & ICANON) != 0;
  }

  std::FILE* in;
  std::FILE* out;

 private:
  int master_;
};

// Keys typed before the terminal is in raw mode would go through the kernel's own line editing, so they come from
// a second thread after the prompt has been shown. It goes on reading what is shown: the editor waits for that.
LineInput::Result read_keys(const Terminal& terminal, LineEditor& editor, std::string_view keys) {
  std::atomic<bool> done = false;
  std::thread typist([&terminal, &done, keys] {
    std::string shown;
    bool typed = false;
    while (!done) {
      shown += terminal.shown();
      if (!typed && shown.find("> ") != std::string::npos) {
        terminal.type(keys);
        typed = true;
      }
    }
  });
  LineInput::Result result = editor.read("> ");
  done = true;
  typist.join();
  return result;
}

#ifdef MINKE_HAVE_LIBEDIT

TEST(LineEditor, EditsUtf8) {
  const Terminal terminal;
  LineEditor editor(terminal.in, terminal.out, History("", 10));
  EXPECT_EQ(read_keys(terminal, editor, "hello\n").line, "hello");
  EXPECT_EQ(read_keys(terminal, editor, "你好x\x7f\x7f吗\n").line, "你吗");   // two times backspace
  EXPECT_EQ(read_keys(terminal, editor, "aé🦭\x01>\n").line, ">aé🦭");        // to the beginning
  EXPECT_EQ(read_keys(terminal, editor, "abc\x1b[D\x1b[D_\n").line, "a_bc");  // left, left
  EXPECT_EQ(read_keys(terminal, editor, "\n").status, LineInput::Status::line);
}

TEST(LineEditor, History) {
  const Terminal terminal;
  History past("", 10);
  past.add("from an earlier chat");
  LineEditor editor(terminal.in, terminal.out, std::move(past));
  EXPECT_EQ(read_keys(terminal, editor, "\x1b[A\n").line, "from an earlier chat");  // up
  EXPECT_EQ(read_keys(terminal, editor, "second 你\n").line, "second 你");
  EXPECT_EQ(read_keys(terminal, editor, "\x1b[A!\n").line, "second 你!");
  EXPECT_EQ(editor.history().entries().size(), 3U);
}

TEST(LineEditor, CtrlCDropsTheLineAndCtrlDEnds) {
  const Terminal terminal;
  LineEditor editor(terminal.in, terminal.out, History("", 10));
  EXPECT_EQ(read_keys(terminal, editor, "half\x03").status, LineInput::Status::interrupted);
  EXPECT_TRUE(terminal.echoes());
  EXPECT_EQ(read_keys(terminal, editor, "whole\n").line, "whole");
  EXPECT_EQ(read_keys(terminal, editor, "\x03").status, LineInput::Status::interrupted);
  EXPECT_EQ(read_keys(terminal, editor, "\x04").status, LineInput::Status::end);
  EXPECT_TRUE(terminal.echoes());
}

#endif

TEST(LineEditor, PlainLinesFromAFile) {
  std::string text = "one\ntwo\r\n\xff\nlast";
  std::FILE* in = ::fmemopen(text.data(), text.size(), "r");
  // fmemopen has no descriptor; isatty says no, as for a pipe.
  LineEditor editor(in, stdout, History("", 10));
  EXPECT_EQ(editor.read("> ").line, "one");
  EXPECT_EQ(editor.read("> ").line, "two");
  EXPECT_EQ(editor.read("> ").line, "\uFFFD");
  EXPECT_EQ(editor.read("> ").line, "last");
  EXPECT_EQ(editor.read("> ").status, LineInput::Status::end);
  std::fclose(in);
}

}  // namespace
}  // namespace minke::cli
