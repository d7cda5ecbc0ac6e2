import Foundation
import TestNodes
import Testing

@testable import fscluster

/// Encrypted nodes as people meet them: the setting in config.yaml, `keys list`, `keys rotate`, `inspect`.
@Suite(.serialized) struct KeysTests {
  private func line(_ byte: UInt8) -> String { String(repeating: "0\(byte)", count: 32) + "\n" }

  private func encrypt(_ cluster: LocalCluster, _ names: String...) throws {
    for name in names {
      let folder = "\(cluster.directory)/\(name)"
      try writeKeys(folder + "/master.key", line(1))
      let yaml = try String(contentsOfFile: folder + "/config.yaml", encoding: .utf8)
      try (yaml + "encryption-key-file: master.key\n").write(
        toFile: folder + "/config.yaml", atomically: true, encoding: .utf8)
    }
  }

  private func writeKeys(_ path: String, _ text: String) throws {
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    chmod(path, 0o600)
  }

  @Test func anEncryptedNodeIsInspectedWithItsKeyOnly() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    try encrypt(cluster, "n1", "n2")
    try cluster.start("n1", "n2")
    let here = ["--directory", cluster.directory]
    let file = try cluster.file("t.ndjson", #"{"id":1}"# + "\n")
    #expect(try run(Import.self, ["t", file, "--create", "--key", "id"] + here).error == nil)
    let list = try run(Keys.List.self, here).text
    #expect(list.contains("n1  writes with the data key") && list.contains("n3  nothing is encrypted"), "\(list)")
    cluster.stop("n1")
    // The old server, which is never freed, holds the lock.
    let folder = cluster.directory + "/n1"
    let copy = folder + "/copy"
    try FileManager.default.copyItem(atPath: folder + "/data", toPath: copy)
    for arguments in [["--data", copy], ["--data", copy, "--encryption-key-file", folder + "/master.key"]] {
      let report = try run(Inspect.self, arguments + ["--blocks"])
      #expect(report.error == nil, "\(report)")
      for part in ["No damage found.", "append shard 1 index 1"] { #expect(report.text.contains(part), "\(part)") }
    }
    let other = cluster.directory + "/elsewhere"
    try FileManager.default.copyItem(atPath: copy, toPath: other)
    let refused = try run(Inspect.self, "--data", other)
    #expect(refused.error?.message.contains("is encrypted") == true && refused.error?.outcome == .usage)
    #expect(refused.text == "")
    let wrong = try cluster.file("wrong.key", line(2))
    chmod(wrong, 0o600)
    let mistaken = try run(Inspect.self, "--data", other, "--encryption-key-file", wrong)
    #expect(mistaken.error?.message.contains("is wrapped by the master key") == true, "\(mistaken)")
    // Without the table nothing can be read, and that is said of each block and page.
    try FileManager.default.removeItem(atPath: other + "/keys")
    #expect(try run(Inspect.self, "--data", other).error?.outcome == .failed)
  }

  @Test func rotationNeedsANodeThatRunsAndEncrypts() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    let here = ["--directory", cluster.directory]
    let plain = try run(Keys.Rotate.self, ["n1"] + here)
    #expect(plain.error?.message == "n1 does not encrypt its data" && plain.error?.outcome == .usage)
    try encrypt(cluster, "n1", "n2")
    try cluster.start("n1", "n2")
    // Nodes of this process have no pid file.
    #expect(try run(Keys.Rotate.self, ["n1"] + here).error?.message == "n1 does not run")
    #expect(try run(Keys.List.self, ["n9"] + here).error?.outcome == .usage)
    let json = try run(Keys.List.self, ["n1", "--json"] + here).text
    #expect(json.contains("\"plain\":false"), "\(json)")
  }

  @Test func aDamagedTableIsNamed() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: cluster.directory + "/n1/data/keys"))
    let list = try run(Keys.List.self, "--directory", cluster.directory)
    #expect(list.error?.message.contains("n1/data/keys cannot be read") == true, "\(list)")
  }
}
