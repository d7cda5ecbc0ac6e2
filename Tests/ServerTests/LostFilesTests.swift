import Foundation
import Primitives
import Ring
import TestNodes
import TestScale
import Testing

@testable import Server

/// A node whose log lost a file or a part of one does not start, says where, and leaves everything as it was.
@Suite(.serialized) struct LostFilesTests {
  private let cluster: TestCluster

  init() throws { cluster = try TestCluster(nodes: 1) }

  /// A node that took rows in two starts and stopped.
  private func runTwice() throws {
    try cluster.start()
    try write("a", creating: true)
    #expect(cluster.node(1).stop() == .success(0))
    try cluster.startAgain(1)
    try write("b")
    #expect(cluster.node(1).stop() == .success(0))
  }

  private func write(_ prefix: String, creating: Bool = false) throws {
    let client = try cluster.client()
    try #require(client.waitUntilReady(1))
    let table = #"{"name":"t","columns":[{"name":"k","type":"text"}],"primary_key":["k"]}"#
    if creating { #expect(try client.ask(.post, "/v1/tables", table).status == 201) }
    for number in 0..<5 {
      #expect(try client.ask(.put, "/v1/tables/t/rows/\(prefix)\(number)", "{}").status == 201)
    }
  }

  /// Starts it on a copy in which `change` was done. Nothing else may change in it.
  private func refusal(_ change: (_ data: String) throws -> Void) throws -> String {
    let copy = cluster.path(1, "lost")
    try FileManager.default.copyItem(atPath: cluster.path(1, "data+"), toPath: copy)
    defer { try? FileManager.default.removeItem(atPath: copy) }
    try change(copy)
    let before = try fingerprint(copy)
    try cluster.start(1, changes: [(.data, copy)])
    guard case .failure(let refusal)? = cluster.node(1).waitForEnd() else {
      Issue.record("it is refused")
      return ""
    }
    #expect(try fingerprint(copy) == before, "nothing was changed")
    return refusal.description
  }

  /// Size and checksum of each file.
  private func fingerprint(_ path: String) throws -> [String: [UInt64]] {
    var found: [String: [UInt64]] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: path)
    where !FileSystem.isDirectory(path + "/" + name) {
      let bytes = try FileSystem.read(path + "/" + name, limit: 1 << 30)
      found[name] = [UInt64(bytes.count), UInt64(crc32c(bytes))]
    }
    return found
  }

  @Test func aLogThatLostAFileOrItsEndIsRefusedWithThePlace() throws {
    defer { cluster.destroy() }
    try runTwice()
    let segments = try FileSystem.list(cluster.path(1, "data+/lane-0/log")).filter { $0.hasSuffix(".log") }
    try #require(segments.count >= 2, "two starts took one each")
    // The second start's segment: what it holds was acknowledged, and no block of another tells of it.
    let last = try #require(try lastWritten(segments))
    for count in scaled([12_345], long: [0, 1, 4096, 12_345, (64 << 20) - 4096] as [UInt64]) {
      let text = try refusal { data in try File("\(data)/lane-0/log/\(last)", .write).resize(count) }
      #expect(text.contains("the log is damaged: \(last) at offset \(count) (the file was cut short there)"), "\(text)")
    }
    var text = try refusal { data in try FileSystem.remove("\(data)/lane-0/log/\(last)") }
    #expect(text.contains("the log is damaged: \(last) at offset 0 (the last start of this node began"), "\(text)")
    for name in segments where name != last {
      text = try refusal { data in try FileSystem.remove("\(data)/lane-0/log/\(name)") }
      #expect(text.contains("the log is damaged: "), "without \(name): \(text)")
    }
    text = try refusal { data in
      for name in segments { try FileSystem.remove("\(data)/lane-0/log/\(name)") }
    }
    #expect(text.contains("the log is damaged: \(last)"), "\(text)")
    text = try refusal { data in try FileSystem.remove("\(data)/boots") }
    #expect(text.contains("an old copy of `boots`?"), "\(text)")
  }

  /// The segment whose first block is of the highest use.
  private func lastWritten(_ segments: [String]) throws -> String? {
    func use(_ name: String) throws -> UInt64 {
      let file = try File(cluster.path(1, "data+/lane-0/log/\(name)"), .read)
      var use: UInt64 = 0
      try withUnsafeMutableBytes(of: &use) { buffer throws(SystemError) in _ = try file.read(into: buffer, at: 40) }
      return use
    }
    return try segments.max { try use($0) < use($1) }
  }
}
