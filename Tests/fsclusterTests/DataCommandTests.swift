import Foundation
import TestNodes
import Testing

@testable import fscluster

@Suite(.serialized) struct DataCommandTests {
  private func lines(_ path: String) throws -> [String] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  @Test func rowsComeInAndGoOutAgain() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    try cluster.start("n1", "n2", "n3")
    let here = ["--directory", cluster.directory]
    let rows = (100..<400).map { #"{"id":\#($0),"name":"row \#($0)"}"# }
    let file = try cluster.file("rows.ndjson", rows.joined(separator: "\n") + "\n")

    #expect(try run(Import.self, ["things", file] + here).error?.message == "there is no table `things`")
    let acked = cluster.directory + "/acked"
    let first = try run(Import.self, ["things", file, "--create", "--key", "id", "--acked", acked] + here)
    #expect(first.error == nil && first.text.hasPrefix("things: 300 rows acknowledged in "), "\(first)")
    #expect(try lines(acked).count == 300)

    let out = cluster.directory + "/out.ndjson"
    let exported = try run(Export.self, ["things", out, "--page", "70"] + here)
    #expect(exported.error == nil && exported.text.hasPrefix("things: 300 rows exported in "))
    #expect(try lines(out) == rows)
    #expect(!FileManager.default.fileExists(atPath: out + ".partial"))

    let table = cluster.directory + "/out.csv"
    #expect(try run(Export.self, ["things", table, "--json"] + here).text.contains("\"rows\":300"))
    #expect(try lines(table).prefix(2) == ["id,name", "100,row 100"])
    let again = try run(Import.self, ["copy", table, "--create", "--key", "id", "--batch", "50"] + here)
    #expect(again.error == nil, "\(again)")
    #expect(try run(Export.self, ["copy", out] + here).error == nil)
    #expect(try lines(out) == rows)
    #expect(try run(Export.self, ["none", out] + here).error?.message.contains("table-not-found") == true)
  }

  @Test func badLinesAreCollectedAndAnImportGoesOn() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    try cluster.start("n1", "n2", "n3")
    let here = ["--directory", cluster.directory]
    let schema = try cluster.file(
      "schema.json",
      #"{"name":"t","columns":[{"name":"id","type":"int64"},{"name":"v","type":"bool"}],"primary_key":["id"]}"#)
    let text = #"{"id":1,"v":true}"# + "\nnonsense\n" + #"{"id":2,"v":"x"}"# + "\n" + #"{"id":3,"v":false}"# + "\n"
    let file = try cluster.file("t.ndjson", text)
    let rejects = cluster.directory + "/rejects"
    let mixed = try run(
      Import.self, ["t", file, "--create", "--schema", schema, "--rejects", rejects, "--json"] + here)
    #expect(mixed.error?.message == "2 lines left out" && mixed.error?.outcome == .failed)
    #expect(mixed.text.contains("\"acknowledged\":2") && mixed.text.contains("\"rejected\":2"))
    #expect(try lines(rejects) == ["nonsense", #"{"id":2,"v":"x"}"#])
    let resumed = try run(Import.self, ["t", file, "--resume"] + here)
    #expect(resumed.error?.message == "2 lines left out" && resumed.text.contains("2 before"), "\(resumed)")
    #expect(try run(Import.self, ["other", file, "--resume"] + here).error?.outcome == .usage)
    let wrong = try run(Import.self, ["x", file, "--create", "--schema", schema] + here)
    #expect(wrong.error?.message.contains("describes another table") == true)
    #expect(try run(Import.self, ["t", "/nowhere"] + here).error?.outcome == .usage)
    #expect(try run(Import.self, ["Not a table", file] + here).error?.outcome == .usage)
    #expect(throws: (any Error).self) { try Import.parse(["t", "-", "--resume"]) }
  }

  @Test func aStoppedNodesFilesAreReadAndJudged() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    let data = cluster.directory + "/n1/data"
    #expect(try run(Inspect.self, "--data", data).text.contains("log: no segment yet"))
    try cluster.start("n1", "n2")
    let file = try cluster.file("t.ndjson", #"{"id":1}"# + "\n")
    #expect(
      try run(Import.self, "t", file, "--create", "--key", "id", "--directory", cluster.directory).error == nil)
    #expect(try run(Inspect.self, "--data", data).error?.message.contains("in use by a running node") == true)
    cluster.stop("n1")
    // The old server, which is never freed, holds the lock.
    let copy = cluster.directory + "/copy"
    try FileManager.default.copyItem(atPath: data, toPath: copy)
    let report = try run(Inspect.self, "--data", copy, "--blocks")
    #expect(report.error == nil)
    for part in ["No damage found.", "node n1", "starts so far 1", "00000001.log", "start", "append shard 1 index 1"] {
      #expect(report.text.contains(part), "\(part)")
    }
    let json = try run(Inspect.self, "--data", copy, "--json").text
    struct Parsed: Decodable { var damage: [String] }
    #expect(try JSONDecoder().decode(Parsed.self, from: Data(json.utf8)).damage.isEmpty)
    let pages = try #require(FileHandle(forUpdatingAtPath: copy + "/lane-0/pages"))
    try pages.seek(toOffset: 100)
    try pages.write(contentsOf: [0xFF, 0xFF])
    try pages.close()
    let damaged = try run(Inspect.self, "--data", copy)
    #expect(damaged.error?.message == "1 damaged place" && damaged.text.contains("lane-0/pages, offset 0"))
    #expect(try run(Inspect.self, "--data", "/nowhere").error?.outcome == .usage)
  }
}
