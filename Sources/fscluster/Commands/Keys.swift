import ArgumentParser
import Foundation
import Primitives
import Sealing

/// `fscluster keys`: the keys by which nodes of this machine encrypt their data.
struct Keys: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Look at and change the keys by which nodes encrypt their data.", subcommands: [List.self, Rotate.self])

  /// `fscluster keys list [NODE…]`
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the data keys of nodes of this machine, and the master keys that wrap them.",
      discussion: "The file of a node's setting encryption-key-file must hold each master key that is shown.")

    @Argument(help: "Nodes; all of the directory if none is named.") var nodes: [String] = []
    @OptionGroup var local: LocalOptions

    func run() throws(CommandError) {
      let directory = try ClusterDirectory.named(local.directory)
      var found: [NodeKeys] = []
      for node in try directory.nodes(nodes) { found.append(try NodeKeys(node, directory)) }
      local.print(found) { $0.text }
    }
  }

  /// `fscluster keys rotate [NODE…]`
  struct Rotate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let running nodes of this machine take up their files of master keys, and a new data key each.",
      discussion: """
        Each node reads the file of its setting encryption-key-file again (SIGHUP), wraps its data keys by the first key \
        there, and encrypts what it writes from now on with a new data key. Reads and writes go on. What was written before \
        stays under the old data keys, which the node keeps.
        """)

    @Argument(help: "Nodes; all of the directory if none is named.") var nodes: [String] = []
    @OptionGroup var local: LocalOptions

    func run() throws(CommandError) {
      let directory = try ClusterDirectory.named(local.directory)
      let named = try directory.nodes(nodes)
      for node in named { try Self.check(node, directory) }
      var rotated: [NodeKeys] = []
      for node in named { rotated.append(try Self.rotate(node, directory)) }
      local.print(rotated) { "keys changed: \($0.text)" }
    }

    private static func check(_ node: String, _ directory: ClusterDirectory) throws(CommandError) {
      guard try !NodeKeys(node, directory).keys.isEmpty else {
        throw .usage(
          "\(node) does not encrypt its data",
          next: "Set encryption-key-file in \(directory.inside(node, "config.yaml")) and restart it.")
      }
      guard directory.process(of: node).running() != nil else {
        throw .usage(
          "\(node) does not run", next: "Start it; a start takes up the file of master keys too.")
      }
    }

    private static let secondsMax = 10.0

    private static func rotate(_ node: String, _ directory: ClusterDirectory) throws(CommandError) -> NodeKeys {
      let before = try NodeKeys(node, directory)
      let process = directory.process(of: node)
      guard let pid = process.running(), kill(pid, SIGHUP) == 0 else {
        throw .failed(
          "\(node) cannot be signalled: \(String(cString: strerror(errno)))",
          next: "Run the command as the user who started the node, or as root.")
      }
      let end = Monotonic.now() + secondsMax
      while Monotonic.now() < end {
        usleep(20_000)
        let now = try NodeKeys(node, directory)
        if now != before { return now }
      }
      throw .failed(
        (["\(node) did not change its keys within \(Int(secondsMax)) s"] + process.lastLines(2)).joined(
          separator: "\n"),
        next: "Its log says why: \(process.log).")
    }
  }
}

/// What a node's file `keys` says without any key. Empty where nothing is encrypted.
struct NodeKeys: Codable, Equatable {
  struct Key: Codable, Equatable {
    var id: String
    /// The master key that wraps it.
    var master: String
  }

  var node: String
  /// Oldest first.
  var keys: [Key] = []
  /// What is written now is plain.
  var plain = false

  init(_ node: String, _ directory: ClusterDirectory) throws(CommandError) {
    self.node = node
    let path = directory.data(of: node) + "/keys"
    guard FileManager.default.fileExists(atPath: path) else { return }
    guard let bytes = FileManager.default.contents(atPath: path) else {
      throw .usage("\(path) cannot be read", next: "Run the command as the user who runs the node.")
    }
    do throws(DecodeError) {
      let table = try KeyTable(decoding: Array(bytes))
      keys = table.keys.map { Key(id: keyName($0.id), master: keyName($0.master)) }
      plain = table.isPlain
    } catch {
      throw .failed("\(path) cannot be read: \(error.message)", next: "Restore the file from a copy of the directory.")
    }
  }

  var text: String {
    guard let last = keys.last else { return "\(node)  nothing is encrypted" }
    let masters = Set(keys.map(\.master)).sorted().joined(separator: ", ")
    let now = plain ? "writes plain" : "writes with the data key \(last.id)"
    return "\(node)  \(now)  of \(Humane.count(keys.count, "data key"))  wrapped by the master key \(masters)"
  }
}
