import Foundation
import Ring
import Testing

@testable import fscluster

@Suite struct PortTests {
  @Test func aTakenPortIsNamedWithItsHolder() throws {
    let listener = try Listener(SocketAddress("127.0.0.1:0"))
    let path = NSTemporaryDirectory() + "fscluster-test-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: path) }
    let addresses = ["127.0.0.1:\(listener.address.port)", "127.0.0.1:1", "127.0.0.1:2"]
    try ClusterMaker(plan: ClusterPlan(name: "demo", addresses: addresses, insecure: false), path: path).make()
    let starter = NodeStarter(directory: try ClusterDirectory(path))
    #expect { try starter.checkPort(of: "n1") } throws: { error in
      guard let error = error as? CommandError else { return false }
      return error.outcome == .usage && error.message.contains("process \(getpid())")
    }
  }
}

@Suite struct NodeProcessTests {
  private func process(_ pid: String) throws -> (NodeProcess, String) {
    let path = NSTemporaryDirectory() + "fscluster-test-" + UUID().uuidString
    try pid.write(toFile: path, atomically: true, encoding: .utf8)
    return (NodeProcess(configuration: "/nowhere/n1/config.yaml", pidFile: path, log: "/dev/null"), path)
  }

  @Test(arguments: ["", "x", "0", "-1", "1", "999999999"])
  func aPidFileThatNamesNoProcessIsStale(pid: String) throws {
    let (process, path) = try process(pid)
    defer { unlink(path) }
    #expect(process.running() == nil)
  }

  @Test func aReusedPidIsNotTheNode() throws {
    let (process, path) = try process("\(getpid())\n")
    defer { unlink(path) }
    #expect(process.running() == nil)
  }

  @Test func theNodeIsKnownByItsConfiguration() throws {
    let path = NSTemporaryDirectory() + "fscluster-test-" + UUID().uuidString
    let script = path + ".sh"
    try "#!/bin/sh\nsleep 30 & wait\n".write(toFile: script, atomically: true, encoding: .utf8)
    chmod(script, 0o755)
    defer {
      unlink(script)
      unlink(path)
    }
    let node = NodeProcess(configuration: "/nowhere/\(UUID().uuidString)", pidFile: path, log: "/dev/null")
    let pid = try node.start(program: script)
    let end = Monotonic.now() + 5
    while node.running() == nil, Monotonic.now() < end { usleep(10_000) }
    #expect(node.running() == pid)
    kill(pid, SIGKILL)
    #expect(NodeProcess.awaitEnd(pid, seconds: 5))
    #expect(node.running() == nil)
  }
}
