import ArgumentParser
import Foundation
import TestNodes
import Testing

@testable import fsbench

/// A line of `--json`.
struct PrintedFigure: Decodable {
  var name: String
  var value: Double
  var unit: String
  var reference: String?
  var ratio: Double?
}

/// Runs a command as its program does: what it printed, and the exit code if it was none of success.
func run(_ arguments: [String]) throws -> (lines: [String], exitCode: Int32?) {
  let output = Output.Capture()
  var command = try Fsbench.parseAsRoot(arguments)
  do {
    try Output.$capture.withValue(output) { () throws in try command.run() }
    return (output.lines, nil)
  } catch let code as ExitCode { return (output.lines, code.rawValue) }
}

/// The figures of a command that succeeds.
func figures(_ arguments: [String]) throws -> [PrintedFigure] {
  let (lines, code) = try run(arguments + ["--json"])
  #expect(code == nil)
  return try lines.map { try JSONDecoder().decode(PrintedFigure.self, from: Data($0.utf8)) }
}

/// Each command once, as small as it goes, beside its real reference.
@Suite(.serialized) struct CommandTests {
  /// Runs `body` with a directory that has to be as empty afterwards as it was before.
  private func withDirectory(_ body: (String) throws -> Void) throws {
    try withDirectory(temporaryDirectory(), body)
  }

  /// One on a disk: what is temporary may be in memory.
  private func withDirectoryOnDisk(_ body: (String) throws -> Void) throws {
    let path = "/var/tmp/filestore-test-\(UUID())"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try withDirectory(path, body)
  }

  private func withDirectory(_ directory: String, _ body: (String) throws -> Void) throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty, "nothing is left behind")
  }

  @Test func theDiskIsMeasuredBesideFio() throws {
    try withDirectory { directory in
      let found = try figures(["disk", "--directory", directory, "--size", "1", "--seconds", "0.1", "--rounds", "1"])
      #expect(found.map(\.name) == ["read", "write"].flatMap { ["disk/\($0)/4k", "disk/\($0)/4k/latency"] })
      #expect(found.map(\.unit) == ["1/s", "s", "1/s", "s"])
      #expect(found.allSatisfy { $0.value > 0 && $0.reference == "fio" && $0.ratio ?? 0 > 0 })
    }
  }

  @Test func theLogIsMeasuredBesideFio() throws {
    try withDirectory { directory in
      let (lines, code) = try run([
        "log", "--directory", directory, "--segment", "2", "--seconds", "0.1", "--rounds", "1",
      ])
      #expect(code == nil && lines.count == 5, "\(lines)")
      #expect(lines[1].hasPrefix("log/append-1/fio ") && lines[1].contains(" fio "))
      #expect(lines[2].hasPrefix("log/append-64 ") && lines[2].contains(" append-1 "))
      #expect(lines[3].hasPrefix("one at a time: P50 ") && lines[3].contains("; fio: P50 "))
      let records = lines[4].split(separator: " ").compactMap { Double($0) }
      #expect(records.count == 2 && records[0] == 64 && records[1] > 1 && records[1] <= 64, "\(lines[4])")
    }
  }

  @Test func theEngineIsMeasuredBesideLMDBAndRocksDB() throws {
    try withDirectoryOnDisk { directory in
      let found = try figures(["engine", "--directory", directory, "--rows", "2K", "--rounds", "2"])
      #expect(
        found.map(\.name)
          == ["insert/lmdb", "read/lmdb", "scan/lmdb", "insert-logged/rocksdb", "read/rocksdb", "scan/rocksdb"]
          .map { "engine/\($0)" })
      #expect(found.allSatisfy { $0.value > 0 && $0.unit == "1/s" && $0.ratio ?? 0 > 0 })
      #expect(found.allSatisfy { $0.name.hasSuffix("/\($0.reference ?? "")") })
    }
  }

  @Test func readsFromDiskAreMeasuredBesideFioAndRocksDB() throws {
    try withDirectoryOnDisk { directory in
      let found = try figures([
        "engine", "--directory", directory, "--memory", "8MiB", "--rows", "100K", "--seconds", "0.2", "--rounds", "1",
      ])
      #expect(
        found.map(\.name) == ["memory/read/fio", "memory/read/rocksdb"]
          + ["p50", "p99", "p99.9"].map { "memory/hot-read/\($0)/latency" })
      #expect(found.map(\.unit) == ["1/s", "1/s", "s", "s", "s"] && found.allSatisfy { $0.value > 0 })
      #expect(found.map(\.reference) == ["fio", "rocksdb", nil, nil, nil])
      #expect(found[..<2].allSatisfy { $0.ratio ?? 0 > 0 })
    }
  }

  @Test func framesAreMeasuredBesideMalloc() throws {
    let found = try figures(["memory", "--memory", "8", "--rounds", "1"])
    #expect(found.map(\.name) == ["frames/exchange/latency", "frames/near"])
    #expect(found.map(\.reference) == ["malloc", "bar"] && found.allSatisfy { $0.value > 0 && $0.ratio ?? 0 > 0 })
  }

  @Test func theLogIsNotMeasuredInMemory() throws {
    let result = try run(["engine", "--rows", "1000", "--rounds", "1", "--directory", "/dev/shm"])
    #expect(result.exitCode == 2 && result.lines.isEmpty)
    #expect(failure { _ = try EnginePlaces(disk: "/dev/shm") }?.hasPrefix("/dev/shm is in memory; ") == true)
  }

  @Test func recoveryIsMeasuredBesideLMDB() throws {
    try withDirectory { directory in
      let small = [
        "recovery", "--directory", directory, "--lmdb-directory", directory, "--log", "2", "--rows", "1500", "--store",
        "3", "--rounds", "2",
      ]
      let found = try figures(small)
      #expect(found.map(\.name) == ["recovery/log-2MiB", "recovery/rows-100/lmdb", "recovery/store-3MiB"])
      #expect(found.map(\.unit) == ["s", "1/s", "s"] && found.map(\.reference) == [nil, "lmdb", nil])
      #expect(found.allSatisfy { $0.value > 0 } && found[1].ratio ?? 0 > 0)
      let (lines, code) = try run(small)
      #expect(code == nil && lines.count == 7, "\(lines)")
      #expect(lines[4].contains(" rows of 1 KiB, ") && lines[4].hasSuffix(" MiB of it pages"), "\(lines)")
      #expect(lines[5].hasPrefix("1500 rows of 100 bytes, "), "\(lines)")
      #expect(lines[6].hasPrefix("3072 stored rows of 1 KiB, "), "\(lines)")
    }
  }

  /// Here, because commands count the peak anew.
  @Test func thePeakOfMemoryIsCountedAnew() throws {
    func touch(_ mebibytes: Int) throws {
      let flags = MAP_PRIVATE | MAP_ANONYMOUS
      let memory = try #require(mmap(nil, mebibytes << 20, PROT_READ | PROT_WRITE, flags, -1, 0))
      memset(memory, 1, mebibytes << 20)
      munmap(memory, mebibytes << 20)
    }
    try touch(256)
    let old = PeakMemory.bytes
    PeakMemory.reset()
    let new = PeakMemory.bytes
    #expect(new > 0 && new + 128 << 20 <= old)
    try touch(128)
    #expect(PeakMemory.bytes >= new + 64 << 20)
  }

  @Test func aBarThatIsMissedFailsTheCommandBehindItsFigures() throws {
    try withDirectoryOnDisk { directory in
      let bars = directory + "/bars.json"
      defer { try? FileManager.default.removeItem(atPath: bars) }
      let small = ["engine", "--directory", directory, "--rows", "1000", "--rounds", "1", "--check", "--bars", bars]
      for (bar, code) in [(0.0, nil), (1e9, 1)] as [(Double, Int32?)] {
        try Data(#"{"engine/read/lmdb": {"ratio_min": \#(bar)}}"#.utf8).write(to: URL(fileURLWithPath: bars))
        let result = try run(small)
        #expect(result.exitCode == code && result.lines.count == 9, "the head, six figures, two remarks")
      }
    }
  }

  @Test func aDirectoryThatIsNoneIsWrongUsage() throws {
    for command in [["disk"], ["log"], ["engine", "--rows", "1000"], ["recovery", "--log", "1"]] {
      let result = try run(command + ["--directory", "/nowhere/at/all", "--rounds", "1"])
      #expect(result.exitCode == 2 && result.lines.isEmpty)
    }
  }

  @Test(arguments: [
    ["disk", "--seconds", "0.01"], ["disk", "--size", "0"], ["log", "--seconds", "61"], ["log", "--segment", "1"],
    ["engine", "--rows", "999"], ["engine", "--rows", "101M"], ["engine", "--rows", "1G"], ["engine", "--rounds", "0"],
    ["engine", "--memory", "1MiB"], ["engine", "--memory", "1"], ["engine", "--memory", "1GiB", "--seconds", "0"],
    ["api", "--seconds", "31"], ["api", "--shapes", "1"],
    ["keys", "--seconds", "0"], ["keys", "--requests", "0"], ["keys", "--fill-seconds", "0"],
    ["recovery", "--log", "0"], ["recovery", "--rows", "9"], ["recovery", "--store", "0"],
  ])
  func whatCannotBeMeasuredIsRefused(arguments: [String]) {
    #expect(throws: (any Error).self) { try Fsbench.parseAsRoot(arguments) }
  }
}
