// What docs/clusters.md shows works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "alpa/base/file.h"
#include "alpa/cluster/cluster.h"

namespace alpa::cluster {
namespace {

TEST(ClusterDocs, ExampleIsAGoodFile) {
  const std::string page = *ReadFile(std::string(ALPA_SOURCE_DIR) + "/docs/clusters.md");
  const size_t begin = page.find("```toml\n") + 8;
  ASSERT_NE(begin, std::string::npos + 8);
  std::string text = page.substr(begin, page.find("```", begin) - begin);
  const std::string path = testing::TempDir() + "/docs_lab.toml";
  ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  const Result<Cluster> lab = LoadCluster(path);
  ASSERT_TRUE(lab.ok()) << lab.error().message;
  EXPECT_EQ(lab->name, "lab");
  EXPECT_EQ(lab->device_count(), 8 + 7 + 2 + 2);
  EXPECT_EQ(lab->hosts[3].name, "desk-1");

  // The message that the page shows.
  const std::string good = "\"960 GB/s\"";
  text.replace(text.find(good), good.size(), "\"960 Gbps\"");
  ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  const std::string message = ToString(LoadCluster(path).error());
  std::filesystem::remove(path);
  const std::string shown = message.substr(message.find("docs_lab.toml") + 5);
  EXPECT_THAT(page, testing::HasSubstr("alpa: " + shown));
}

}  // namespace
}  // namespace alpa::cluster
