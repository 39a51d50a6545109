#include "base/build_id.h"

#include <gtest/gtest.h>

namespace minke::base {
namespace {

TEST(BuildId, IsThisProgramsOwn) {
  EXPECT_EQ(build_id(), build_id());
  EXPECT_NE(build_id(), Sha256().finish()) << "neither a build id nor a file was found";
}

}  // namespace
}  // namespace minke::base
