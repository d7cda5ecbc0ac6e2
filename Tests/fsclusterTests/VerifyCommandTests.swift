import Foundation
import Primitives
import Ring
import TestNodes
import Testing

@testable import fscluster

/// `verify` and `dump` on a node that was stopped: what they say, and that they change nothing.
@Suite(.serialized) struct VerifyCommandTests {
  private struct Parsed: Decodable {
    struct Finding: Decodable {
      var file: String
      var offset: UInt64?
      var text: String
    }
    var findings: [Finding]
    var entries: Int
    var pages: Int
  }

  /// The copy of a directory whose node took rows, checkpointed and was stopped.
  private func stoppedData(_ cluster: LocalCluster) throws -> String {
    try cluster.start("n1", "n2")
    let rows = (100..<140).map { #"{"id":\#($0),"name":"row \#($0)"}"# }
    let file = try cluster.file("rows.ndjson", rows.joined(separator: "\n") + "\n")
    let here = ["--directory", cluster.directory]
    #expect(try run(Import.self, ["things", file, "--create", "--key", "id"] + here).error == nil)
    cluster.stop("n1")
    // The old server, which is never freed, holds the lock.
    let copy = cluster.directory + "/copy"
    try FileManager.default.copyItem(atPath: cluster.directory + "/n1/data", toPath: copy)
    return copy
  }

  private func fingerprint(_ path: String) throws -> [String: [UInt64]] {
    var found: [String: [UInt64]] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
      guard !FileSystem.isDirectory(path + "/" + name) else { continue }
      let bytes = try FileSystem.read(path + "/" + name, limit: 1 << 30)
      found[name] = [UInt64(bytes.count), UInt64(crc32c(bytes))]
    }
    return found
  }

  private func findings(_ data: String) throws -> [Parsed.Finding] {
    let result = try run(Verify.self, "--data", data, "--json")
    let parsed = try JSONDecoder().decode(Parsed.self, from: Data(result.text.utf8))
    #expect((result.error?.outcome == .failed) == !parsed.findings.isEmpty)
    return parsed.findings
  }

  /// Changes one byte for as long as `body` runs.
  private func flipping(_ file: String, _ offset: UInt64, _ body: () throws -> Void) throws {
    let open = try File(file, .write)
    func flip() throws {
      var byte: UInt8 = 0
      try withUnsafeMutableBytes(of: &byte) { (buffer) throws(SystemError) in
        _ = try open.read(into: buffer, at: offset)
      }
      byte ^= 0x40
      try withUnsafeBytes(of: byte) { (buffer) throws(SystemError) in try open.write(buffer, at: offset) }
    }
    try flip()
    try body()
    try flip()
  }

  @Test func aSoundDirectoryIsSoundAndUnchanged() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    #expect(try run(Verify.self, "--data", cluster.directory + "/n2/data").error == nil, "a new one is sound")
    let data = try stoppedData(cluster)
    let before = try fingerprint(data)
    let result = try run(Verify.self, "--data", data)
    #expect(result.error == nil && result.text.hasSuffix("Sound.\n"), "\(result)")
    #expect(try findings(data).isEmpty)
    #expect(try run(Dump.self, "--data", data).error == nil)
    #expect(try fingerprint(data) == before)
    #expect(try run(Verify.self, "--data", "/nowhere").error?.outcome == .usage)
    let busy = try run(Verify.self, "--data", cluster.directory + "/n2/data")
    #expect(busy.error?.outcome == .usage && busy.error?.message.contains("in use by a running node") == true)
    #expect(try run(Dump.self, "--data", cluster.directory + "/n2/data").error?.outcome == .usage)
  }

  @Test func whatIsWrongIsNamedWithItsPlace() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    let data = try stoppedData(cluster)
    let pages = data + "/lane-0/pages"
    let log = data + "/lane-0/log/00000001.log"
    for (file, offset, name, place) in [
      (pages, 16384 + 200, "lane-0/pages", 16384), (pages, 3 * 16384 + 9_000, "lane-0/pages", 3 * 16384),
      (log, 4096 + 77, "lane-0/log/00000001.log", 4096),
    ] as [(String, UInt64, String, UInt64)] {
      try flipping(file, offset) {
        let found = try findings(data)
        #expect(found.contains { $0.file == name && $0.offset == place }, "\(name) at \(offset)")
      }
    }
    try flipping(data + "/boots", 12) {
      let found = try findings(data)
      #expect(found.contains { $0.file == "boots" })
    }
    #expect(try findings(data).isEmpty)

    try File(log, .write).resize(1 << 20)
    #expect(
      try findings(data).map { "\($0.file) \($0.offset ?? 0) \($0.text)" }
        == ["lane-0/log/00000001.log 1048576 the file was cut short there"])
    try FileSystem.remove(log)
    #expect(try findings(data).map(\.file) == ["lane-0/log/00000001.log"])
    try File(pages, .write).resize(2 * 16384 + 100)
    #expect(try findings(data).contains { $0.file == "lane-0/pages" && $0.offset == 2 * 16384 + 100 })
    for slot in [0, 1] {
      let file = try File(pages, .write)
      try withUnsafeBytes(of: UInt64(7)) { (bytes) throws(SystemError) in
        try file.write(bytes, at: UInt64(slot * 16384))
      }
    }
    let foreign = try run(Verify.self, "--data", data)
    #expect(foreign.error?.outcome == .usage && foreign.error?.message.contains("no page file") == true)
  }
}

/// `verify` and `dump` on a directory with checkpoints, whose node ran in memory.
@Suite struct DumpCommandTests {
  private func withDirectory(_ body: (_ data: String, _ run: RecordedRun) throws -> Void) throws {
    let recorded = try RecordedRun(putsPerStart: 20)
    let parent = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: parent) }
    try recorded.end.write(to: parent + "/data")
    try body(parent + "/data", recorded)
  }

  private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

  @Test func theRowsOfTheNewestCheckpointAreDumped() throws {
    try withDirectory { data, recorded in
      #expect(try run(Verify.self, "--data", data).error == nil)
      let all = try run(Dump.self, "--data", data)
      #expect(all.error == nil, "\(all)")
      let table = try run(Dump.self, "--data", data, "--table", "t")
      let rows = lines(table.text)
      #expect(lines(all.text) == rows.map { #"{"table":"t","row":\#($0)}"# })
      // Some moment of the run, and not its beginning.
      let moments = (0...recorded.puts.count).map { count in
        recorded.state(after: count).enumerated().compactMap { key, value in
          value.map { #"{"k":"k\#(key)","v":"\#($0)"}"# }
        }
      }
      #expect(moments.firstIndex(of: rows) ?? 0 > 20)
      let system = try run(Dump.self, "--data", data, "--table", "fs_tables")
      #expect(system.text.hasPrefix(#"{"name":"t","id":100,"#) && lines(system.text).count == 1)
      let none = try run(Dump.self, "--data", data, "--table", "none")
      #expect(none.error?.outcome == .usage && none.text.isEmpty)
      let out = data + "/../out"
      #expect(try run(Dump.self, "--data", data, "--table", "t", out).error == nil)
      #expect(try String(contentsOfFile: out, encoding: .utf8) == table.text)
    }
  }

  @Test func rowsInDamagedPagesAreMissingAndThatIsSaid() throws {
    try withDirectory { data, recorded in
      let whole = Set(lines(try run(Dump.self, "--data", data).text))
      let pages = data + "/lane-0/pages"
      var damaged = 0
      for page in 2..<recorded.end.pages.count / 16384 {
        var bytes = recorded.end.pages
        guard bytes[page * 16384] != 0 else { continue }  // never written
        bytes[page * 16384 + 300] ^= 4
        try FileSystem.replace(pages, with: bytes)
        let dump = try run(Dump.self, "--data", data)
        #expect(Set(lines(dump.text)).isSubset(of: whole))
        if lines(dump.text).count < whole.count { #expect(dump.error?.outcome == .failed) }
        if dump.error != nil {
          damaged += 1
          #expect(try run(Verify.self, "--data", data).text.contains("lane-0/pages, offset \(page * 16384)"))
        }
      }
      #expect(damaged > 2)
    }
  }
}
