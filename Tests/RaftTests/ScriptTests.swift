// Stories of a group: each file in Scripts is a list of commands with what happened below `----`.
// RAFT_REWRITE=1 writes down what happens now; read the difference before you keep it.

import Foundation
import Testing

@testable import Raft

@Suite struct ScriptTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Scripts")

  static var names: [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".script") }.sorted()
  }

  @Test func thereAreScripts() { #expect(Self.names.count >= 15) }

  @Test(arguments: names) func happensAsWritten(name: String) throws {
    let file = Self.folder.appending(path: name)
    let written = try String(contentsOf: file, encoding: .utf8)
    let happened = Self.run(written)
    if ProcessInfo.processInfo.environment["RAFT_REWRITE"] != nil {
      try happened.write(to: file, atomically: true, encoding: .utf8)
    } else {
      #expect(happened == written, "run with RAFT_REWRITE=1 and look at the difference")
    }
    #expect(!happened.contains("VIOLATION"))
  }

  /// The same text with each block's output as it happens now. A block: comments and commands, `----`, output, a blank line.
  static func run(_ text: String) -> String {
    let world = ScriptWorld()
    var blocks: [String] = []
    for block in text.components(separatedBy: "\n\n") {
      let lines = block.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      let commands = lines.prefix { $0 != "----" }.filter { !$0.isEmpty }
      if commands.isEmpty { continue }
      world.output = []
      for command in commands {
        if let line = ScriptLine(command) { world.run(line) }
      }
      let isSilent = commands.allSatisfy { $0.hasPrefix("#") }
      let result = world.output.isEmpty ? ["ok"] : world.output
      blocks.append((isSilent ? commands : commands + ["----"] + result).joined(separator: "\n"))
    }
    return blocks.joined(separator: "\n\n") + "\n"
  }
}
