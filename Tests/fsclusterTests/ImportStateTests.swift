import Foundation
import Tables
import Testing

@testable import fscluster

@Suite struct PrefixTrackerTests {
  private func place(_ number: Int) -> PrefixTracker.Place { .init(offset: UInt64(number) * 10, line: number + 1) }

  @Test func onlyTheContiguousBeginningCounts() {
    var tracker = PrefixTracker()
    let numbers = (1...3).map { tracker.begin(behind: place($0)) }
    tracker.finish(numbers[1])
    #expect(tracker.done == place(0))
    tracker.finish(numbers[0])
    #expect(tracker.done == place(2))
    #expect(tracker.waiting == 1)
    tracker.finish(numbers[2])
    #expect(tracker.done == place(3))
    #expect(tracker.waiting == 0)
  }

  @Test func aLongImportKeepsItsPlace() {
    var tracker = PrefixTracker()
    for round in 0..<2000 {
      let numbers = (1...16).map { tracker.begin(behind: place(round * 16 + $0)) }
      for number in numbers.reversed() { tracker.finish(number) }
    }
    #expect(tracker.done == place(32_000))
    #expect(tracker.waiting == 0)
  }
}

@Suite struct ImportStateTests {
  private let rows = Array("{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n".utf8)

  @Test func anInterruptedImportGoesOnAtItsPlace() throws {
    try withFile(rows) { path in
      let source = try ImportSource(path: path, format: nil)
      var state = try #require(source.initialState(table: "t"))
      state.place = .init(offset: 18, line: 3)
      try state.write(ImportState.path(for: path))
      defer { unlink(ImportState.path(for: path)) }

      var again = try ImportSource(path: path, format: nil)
      let earlier = try #require(try again.earlierState(table: "t"))
      try again.seek(to: earlier.place)
      var reader = again.reader
      let record = try reader.next()
      #expect(record?.line == 3)
      #expect(record?.bytes == Array("{\"id\":3}".utf8))
    }
  }

  @Test func anotherFileOfTheSameNameIsNoticed() throws {
    try withFile(rows) { path in
      var state = try #require(try ImportSource(path: path, format: nil).initialState(table: "t"))
      state.head &+= 1
      try state.write(ImportState.path(for: path))
      defer { unlink(ImportState.path(for: path)) }
      let source = try ImportSource(path: path, format: nil)
      #expect(throws: CommandError.self) { try source.earlierState(table: "t") }
    }
  }

  @Test func anotherTableIsNoticed() throws {
    try withFile(rows) { path in
      let source = try ImportSource(path: path, format: nil)
      try #require(source.initialState(table: "t")).write(ImportState.path(for: path))
      defer { unlink(ImportState.path(for: path)) }
      #expect(throws: CommandError.self) { try source.earlierState(table: "u") }
    }
  }

  @Test func withoutAStateTheImportBeginsAtTheStart() throws {
    let earlier = try withFile(rows) { path in try ImportSource(path: path, format: nil).earlierState(table: "t") }
    #expect(earlier == nil)
  }

  @Test func acknowledgedKeysAreLinesOfJSON() throws {
    try withFile([]) { path in
      var outputs = try ImportOutputs(
        rejects: nil, acked: path, header: nil, statePath: nil, state: nil, append: false)
      outputs.acknowledge(key: Array("\"g++\"".utf8), line: 17, etag: "\"123\"")
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)).isEmpty)
      outputs.flush()
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text == "{\"key\":\"g++\",\"line\":17,\"etag\":\"123\"}\n")
    }
  }

  @Test func rejectsOfCSVKeepTheHeader() throws {
    try withFile([]) { path in
      var outputs = try ImportOutputs(
        rejects: path, acked: nil, header: Array("a,b".utf8), statePath: nil, state: nil, append: false)
      outputs.reject(Array("1,x,y".utf8))
      outputs.flush()
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "a,b\n1,x,y\n")
    }
  }

  @Test func etagsOfABatchAreFound() {
    let body = Array(#"{"results":[{"status":201,"etag":"5"},{"status":200}]}"#.utf8)
    #expect(BatchAnswer.etags(body) == ["5", nil])
  }
}

@Suite struct ColumnInferenceTests {
  private func infer(_ rows: [String], key: [String] = ["id"]) throws -> [String] {
    var inference = ColumnInference()
    for row in rows {
      if case .object(let members) = try JSONValue.parse(Array(row.utf8)) { inference.add(members) }
    }
    let shape = try inference.description(table: "t", key: key)
    return shape.columns.map { "\($0.name) \($0.type)\($0.nullable == true ? "?" : "")" }
  }

  @Test func columnsTakeTheNarrowestTypeOfTheirValues() throws {
    let rows = [
      #"{"id":1,"a":1,"b":true,"c":"x","d":1,"e":[1],"f":null,"g":1}"#,
      #"{"id":2,"a":2.5,"b":null,"d":"x","h":9223372036854775808}"#,
    ]
    #expect(
      try infer(rows) == [
        "id int64", "a float64?", "b bool?", "c text?", "d json?", "e json?", "f text?", "g int64?", "h float64?",
      ])
  }

  @Test func aKeyIsInTheRowsAndOfAKeysType() {
    #expect(throws: CommandError.self) { try infer([#"{"a":1}"#]) }
    #expect(throws: CommandError.self) { try infer([#"{"id":1.5}"#]) }
  }

  @Test func aBadLineDoesNotSpoilItsColumns() throws {
    let rows = (1...30).map { #"{"id":\#($0)}"# } + [#"{"id":"x"}"#]
    #expect(try infer(rows) == ["id int64"])
  }

  @Test func fieldsOfCSVAreTextWhenInDoubt() throws {
    var inference = ColumnInference()
    for row in ["1,1,x,007,\"5\"", "2,1.5,true,8,\"6\""] {
      inference.add(header: ["id", "a", "b", "c", "d"], fields: try CSV.parse(Array(row.utf8)))
    }
    let shape = try inference.description(table: "t", key: ["id"])
    #expect(shape.columns.map(\.type) == ["int64", "float64", "text", "text", "text"])
  }
}
