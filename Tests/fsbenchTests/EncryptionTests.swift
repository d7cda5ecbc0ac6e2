import FileStoreClient
import Foundation
import Ring
import TestNodes
import Testing

@testable import fsbench

/// `fsbench encryption` over two real nodes, one that encrypts and one that does not.
@Suite(.serialized) struct EncryptionTests {
  private let encrypted: TestCluster
  private let plain: TestCluster

  init() throws {
    encrypted = try TestCluster(nodes: 1, isInsecure: true)
    plain = try TestCluster(nodes: 1, isInsecure: true)
    let key = encrypted.path(1, "master.key")
    try FileSystem.replace(key, with: Array((String(repeating: "0a", count: 32) + "\n").utf8))
    try encrypted.start(1, changes: [(.encryptionKeyFile, key)])
    try plain.start(1)
    for cluster in [encrypted, plain] {
      try #require(try cluster.client().waitUntilReady(1), "\(cluster.node(1).lines)")
    }
  }

  private func destroy() {
    encrypted.destroy()
    plain.destroy()
  }

  private func arguments(_ ours: TestCluster, _ other: TestCluster, _ more: [String] = []) throws -> [String] {
    let files = try [ours, other].map { cluster in
      let file = cluster.directory + "/token"
      try cluster.token().write(toFile: file, atomically: true, encoding: .utf8)
      return file
    }
    return [
      "encryption", "--filestore", "\(ours.endpoints[0])", "--token-file", files[0], "--plain", "\(other.endpoints[0])",
      "--plain-token-file", files[1], "--keys", "600", "--requests", "100", "--shapes", "2x4",
    ] + more
  }

  /// Only the flushes of the disks are made up: not every file system of a test has a disk that counts them.
  @Test func theEncryptedClusterStandsBesideThePlainOne() throws {
    defer { destroy() }
    let command = try #require(
      try Fsbench.parseAsRoot(arguments(encrypted, plain, ["--filestore-pids", "\(getpid())"])) as? EncryptionCommand)
    let systems = try command.open()
    #expect(systems.map(\.name) == ["encrypted", "plain"])
    var flushes: UInt64 = 0
    let comparison = KeysComparison(
      systems, tls: nil, settings: command.load.settings, machine: Machine(ticks: { Ticks(total: 0, stolen: 0) }),
      prefix: "encryption",
      flushes: {
        flushes += 1000
        return flushes
      })
    try comparison.fill()
    try comparison.checkFilled()
    let before = try systems.map { try $0.metrics() }
    try comparison.round()
    let found = comparison.figures
    let names = found.map(\.name)
    #expect(names.contains("encryption/write/2x4") && names.contains("encryption/read/2x4/latency/p99"), "\(names)")
    #expect(found.allSatisfy { $0.value > 0 && $0.reference?.name == "plain" }, "\(found)")
    let remarks = try command.remarks(systems, before)
    #expect(remarks.count == 2 && remarks[0].hasPrefix("encrypted: its leader wrote "), "\(remarks)")
  }

  /// What compares two that encrypt, or two that do not, says nothing.
  @Test func clustersThatAreNotWhatTheyAreTakenForAreRefused() throws {
    defer { destroy() }
    for (ours, other) in [(plain, encrypted), (plain, plain), (encrypted, encrypted)] {
      #expect(try run(arguments(ours, other)).exitCode == 2)
    }
    #expect(throws: (any Error).self) {
      try Fsbench.parseAsRoot(["encryption", "--plain", "https://x:1", "--plain-token-file", "f"])
    }
  }
}
