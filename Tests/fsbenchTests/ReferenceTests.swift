import Foundation
import TestNodes
import Testing

@testable import fsbench

/// Programs of others, and what becomes of those that fail.
@Suite(.serialized) struct ReferenceTests {
  /// A program that writes this and ends so.
  private func withProgram(_ output: String, code: Int = 0, _ body: (Program) throws -> Void) throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/program"
    try "#!/bin/sh\ncat <<'END'\n\(output)\nEND\nexit \(code)\n".write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
    try body(Program(path: path))
  }

  private func fio(_ job: String, code: Int = 0) throws -> Fio.Result {
    var result: Fio.Result?
    try withProgram(#"{"jobs":[\#(job)]}"#, code: code) { program in
      result = try Fio(program).run(.sequentialWrite, file: "/dev/null", depth: 1, seconds: 1)
    }
    return try #require(result)
  }

  private let read = #""read":{"iops":1,"lat_ns":{"mean":1}}"#

  @Test func fiosSideOfThePatternIsTaken() throws {
    let write = #""write":{"iops":5000.5,"lat_ns":{"mean":2e5,"percentile":{"50.000000":1e5,"99.000000":4e6}}}"#
    let result = try fio(#"{"error":0,\#(read),\#(write)}"#)
    #expect(result.perSecond == 5000.5 && result.meanLatency == 2e-4 && result.p50 == 1e-4 && result.p99 == 4e-3)
    let short = try fio(#"{"error":0,\#(read),"write":{"iops":1,"lat_ns":{"mean":1}}}"#)
    #expect(short.p50 == 0 && short.p99 == 0)
  }

  @Test func aFioThatFailsHasNoFigures() {
    let write = #""write":{"iops":5,"lat_ns":{"mean":2}}"#
    #expect(failure { _ = try fio(#"{"error":5,\#(read),\#(write)}"#) } == "fio reports an error")
    #expect(failure { _ = try fio("") } == "fio reports an error")
    #expect(failure { _ = try fio("{}") }?.hasPrefix("fio's output is not understood") == true)
    #expect(failure { _ = try fio(#"{"error":0,\#(read),\#(write)}"#, code: 3) }?.hasSuffix("ended with 3") == true)
  }

  @Test func aProgramThatIsMissingIsNamedWithItsPackage() {
    let missing = failure { _ = try Program("no-such-program", package: "some-package") }
    #expect(missing == "no-such-program is missing; install it with: apt-get install some-package")
    #expect(BenchError.missing("x", package: "y").exitCode == 2 && BenchError.failed("").exitCode == 1)
    #expect(failure { _ = try Program(path: "/nowhere").output([]) }?.contains("cannot be started") == true)
  }

  @Test func aLibraryThatIsMissingIsNamedWithItsPackage() throws {
    let missing = failure { _ = try SharedLibrary("libnone.so.1", package: "libnone1") }
    #expect(missing == "libnone.so.1 is missing; install it with: apt-get install libnone1")
    let library = try SharedLibrary("libc.so.6", package: "libc6")
    let absolute: @convention(c) (Int32) -> Int32 = try library.symbol("abs")
    #expect(absolute(-7) == 7)
    let absent = failure { let _: @convention(c) () -> Void = try library.symbol("no_such_function") }
    #expect(absent == "libc.so.6 has no no_such_function")
  }

  @Test(arguments: [false, true])
  func nghttpdAnswersTheRowUntilItsOwnerGoes(isSecure: Bool) throws {
    let scratch = try Scratch(under: NSTemporaryDirectory())
    let row = Array(#"{"k":"a"}"#.utf8)
    var server: Nghttpd? = try Nghttpd(answering: row, isSecure: isSecure, scratch: scratch)
    let uri = try #require(server?.uri)
    #expect(uri.hasPrefix(isSecure ? "https://127.0.0.1:" : "http://127.0.0.1:") && uri.hasSuffix("/row"))
    let shape = Shape(connections: 2, streams: 2)
    let result = try H2load().run(.init(uri: uri), shape, seconds: 0.1)
    #expect(result.perSecond > 0 && result.meanLatency > 0)
    #expect(throws: BenchError.self) { try H2load().run(.init(uri: uri + "/none"), shape, seconds: 0.1) }
    server = nil
    #expect(throws: BenchError.self) { try H2load().run(.init(uri: uri), shape, seconds: 0.1) }
  }
}
