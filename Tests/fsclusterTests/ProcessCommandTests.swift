import Foundation
import Testing

@testable import fscluster

/// Nodes as processes of their own: `filestored` is built beside the tests.
@Suite(.serialized) struct ProcessCommandTests {
  @Test func nodesAreStartedStoppedAndRestarted() throws {
    let cluster = try LocalCluster()
    let here = ["--directory", cluster.directory]
    defer {
      _ = try? run(Stop.self, ["--force"] + here)
      cluster.destroy()
    }
    let started = try run(Start.self, here)
    #expect(started.error == nil && started.text.split(separator: "\n").count == 3, "\(started)")
    #expect(started.text.contains("n1  127.0.0.1:\(cluster.ports[0])  started  pid "))
    #expect(try run(Status.self, here).error == nil)
    #expect(try run(Start.self, ["n2"] + here).text.contains("was running"))
    let restarted = try run(Restart.self, ["n2", "--json"] + here)
    #expect(restarted.error == nil && restarted.text.contains("\"was_running\":false"), "\(restarted)")
    #expect(try run(Stop.self, ["n3"] + here).text.contains("n3  stopped  (was pid "))
    #expect(try run(Stop.self, ["n3"] + here).text == "n3  was not running\n")
    #expect(try run(Stop.self, ["--force", "--json"] + here).text.contains("\"node\":\"n1\""))
    #expect(try run(Status.self, here).error?.outcome == .failed)
    #expect(try run(Start.self, ["n9"] + here).error?.outcome == .usage)
  }

  @Test func aNodeThatEndsAtOnceIsShownWithItsLog() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    try FileManager.default.removeItem(atPath: cluster.directory + "/n1/data/lane-0/pages")
    let refused = try run(Start.self, "n1", "--directory", cluster.directory)
    #expect(refused.error?.message == "n1 ended right after its start")
    #expect(refused.error?.next?.contains("is no data directory of FileStore") == true)
  }
}
