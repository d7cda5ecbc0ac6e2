import ArgumentParser
import FileStoreClient
import Foundation
import Server
import TestNodes
import Testing

@testable import fscluster

/// Runs a command as its program does; what it wrote to standard output, and why it failed.
func run<C: ParsableCommand>(_ command: C.Type, _ arguments: String...) throws -> (text: String, error: CommandError?) {
  try run(command, arguments)
}

func run<C: ParsableCommand>(_ command: C.Type, _ arguments: [String]) throws -> (text: String, error: CommandError?) {
  let capture = Console.Capture()
  var parsed = try command.parse(arguments)
  do {
    try Console.$capture.withValue(capture) { () throws in try parsed.run() }
    return (capture.text(1), nil)
  } catch let error as CommandError { return (capture.text(1), error) }
}

/// A cluster as `fscluster init` makes it, its nodes in this process.
final class LocalCluster {
  let directory: String
  let ports: [UInt16]
  private(set) var nodes: [String: RunningNode] = [:]

  init() throws {
    directory = try temporaryDirectory() + "/cluster"
    ports = try freePorts(3)
    #expect(try initialize().error == nil)
  }

  func initialize() throws -> (text: String, error: CommandError?) {
    let addresses = ports.flatMap { ["--node", "127.0.0.1:\($0)"] }
    return try run(Init.self, ["--name", "demo", "--directory", directory] + addresses)
  }

  func start(_ names: String...) throws {
    for name in names {
      var raw = RawSettings()
      try raw.readFile("\(directory)/\(name)/config.yaml")
      raw.readFlag(.memory, "64MiB")
      nodes[name] = try RunningNode(Configuration(raw), log: "\(directory)/\(name)/log")
    }
    let client = try Cluster(ClusterDirectory(directory).clientConfiguration(identity: .none)).client
    for name in names {
      var request = ClientRequest(.get, "/readyz")
      request.endpoint = Int(name.dropFirst()).map { $0 - 1 }
      request.retries = false
      #expect(waitUntil(seconds: 60) { (try? client.send(request).status) == 200 }, "\(name) is ready")
    }
  }

  func stop(_ name: String) { #expect(nodes[name]?.stop() == .success(0)) }

  func destroy() {
    for node in nodes.values { node.signal() }
    for node in nodes.values where node.end == nil { node.stop() }
    try? FileManager.default.removeItem(atPath: (directory as NSString).deletingLastPathComponent)
  }

  func file(_ name: String, _ text: String) throws -> String {
    let path = directory + "/" + name
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }
}
