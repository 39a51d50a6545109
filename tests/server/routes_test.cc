#include "server/routes.h"

#include <set>

#include <gtest/gtest.h>

namespace minke::server {
namespace {

/// What everybody may see says nothing of anybody's requests; all else needs a key.
TEST(Routes, OnlyTheseAreOpen) {
  const std::set<std::string_view> open = {"/", "/health", "/ready"};
  for (const Route& route : routes()) EXPECT_EQ(route.scope == Scope::open, open.contains(route.path)) << route.path;
}

TEST(Routes, EachIsFoundAndWrongMethodsAreTold) {
  for (const Route& route : routes()) {
    const bool named = route.path.size() > 1 && route.path.ends_with('/');
    const std::string path = std::string(route.path) + (named ? "x" : "");
    EXPECT_EQ(find_route(route.method, path).route, &route) << path;
    const Match wrong = find_route("PATCH", path);
    EXPECT_EQ(wrong.route, nullptr);
    EXPECT_NE(wrong.allowed.find(route.method), std::string::npos) << wrong.allowed;
  }
  EXPECT_EQ(find_route("PATCH", "/v1/streams/x").allowed, "GET, DELETE");
  EXPECT_EQ(find_route("HEAD", "/health").route, find_route("GET", "/health").route);
}

TEST(Routes, PathsAreLiteral) {
  for (const char* path :
       {"", "/v1", "/v1/", "//health", "/health/", "/v1/chat/completions/", "/V1/models", "/%68ealth", "/v1/../health",
        "*", "http://127.0.0.1/health", "/v1/models/a%2", "/v1/models/%zz"}) {
    EXPECT_EQ(find_route("GET", path).route, nullptr) << path;
  }
  EXPECT_EQ(find_route("GET", "/v1/models/qwen%3A1.5b").name, "qwen:1.5b");
  EXPECT_EQ(find_route("GET", "/v1/models/org/model").name, "org/model");
}

}  // namespace
}  // namespace minke::server
