import Foundation
import Testing

@testable import fsbench

@Suite struct FigureTests {
  @Test func theMedianIsTheMiddleOfTheOrderedValues() {
    #expect([3.0, 1, 2].median == 2)
    #expect([4.0, 1, 2, 3].median == 2.5)
    #expect([7.0].median == 7)
    #expect([Double]().median == 0)
  }

  @Test(
    arguments: [
      (0, "0"), (18656.72, "18657"), (1.23456, "1.235"), (0.000123456, "0.0001235"), (99999.4, "99999"),
      (.infinity, "0"), (.nan, "0"), (-1.23456, "-1.235"),
    ] as [(Double, String)])
  func fourDigitsCount(value: Double, text: String) {
    #expect(Figure.number(value) == text)
  }

  @Test func aLineOfJSONHasItsKeysInOrder() {
    let alone = Figure(name: "a/b", value: 12.5, unit: .seconds)
    #expect(alone.json == #"{"name":"a/b","value":12.50,"unit":"s"}"#)
    let beside = Figure(name: "a/b", value: 12.5, unit: .perSecond, reference: .init(name: "etcd", value: 5))
    #expect(
      beside.json
        == #"{"name":"a/b","value":12.50,"unit":"1/s","reference":"etcd","reference_value":5.000,"ratio":2.500}"#)
    let nothing = Figure(name: "a", value: 1, unit: .seconds, reference: .init(name: "etcd", value: 0))
    #expect(nothing.ratio == nil)
    #expect(nothing.json == #"{"name":"a","value":1.000,"unit":"s","reference":"etcd","reference_value":0}"#)
  }

  @Test(arguments: [
    (2.5, Figure.Unit.seconds, "2.5 s"), (0.0123, .seconds, "12.3 ms"), (44.1e-6, .seconds, "44.1 µs"),
    (5e-9, .seconds, "5 ns"), (1.22e6, .perSecond, "1.22 M/s"), (18656, .perSecond, "18.7 K/s"),
    (12, .perSecond, "12 /s"),
  ])
  func peopleReadScaledNumbers(value: Double, unit: Figure.Unit, text: String) {
    #expect(Figure(name: "", value: value, unit: unit).readable(value) == text)
  }
}

@Suite struct BarsTests {
  private func missed(_ bars: String, _ figures: [Figure], prefix: String = "log/") throws -> [String] {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("bars-\(UUID()).json")
    try Data(bars.utf8).write(to: path)
    defer { try? FileManager.default.removeItem(at: path) }
    return try Bars(path: path.path).missed(by: figures, prefix: prefix)
  }

  private func figure(_ name: String, ratio: Double) -> Figure {
    Figure(name: name, value: ratio, unit: .perSecond, reference: .init(name: "fio", value: 1))
  }

  private let both = #"{"log/a": {"ratio_max": 1.25}, "log/b": {"ratio_min": 20}, "disk/c": {"ratio_min": 1}}"#

  @Test func barsThatAreReachedAreSilent() throws {
    #expect(try missed(both, [figure("log/a", ratio: 1.25), figure("log/b", ratio: 20)]).isEmpty)
  }

  @Test func barsThatAreMissedSayByHowMuch() throws {
    #expect(
      try missed(both, [figure("log/a", ratio: 1.26), figure("log/b", ratio: 19.9)])
        == ["log/a: 1.26, at most 1.25", "log/b: 19.9, at least 20"])
  }

  @Test func aBarOfAValueNeedsNoReference() throws {
    let bars = #"{"recovery/a": {"value_max": 3}}"#
    let figures = [3.0, 3.1].map { Figure(name: "recovery/a", value: $0, unit: .seconds) }
    #expect(try missed(bars, [figures[0]], prefix: "recovery/").isEmpty)
    #expect(try missed(bars, [figures[1]], prefix: "recovery/") == ["recovery/a: 3.1 s, at most 3 s"])
    #expect(try missed(bars, [], prefix: "recovery/") == ["recovery/a: not measured"])
  }

  @Test func whatWasNotMeasuredIsMissed() throws {
    let withoutReference = Figure(name: "log/b", value: 30, unit: .perSecond)
    #expect(try missed(both, [withoutReference]) == ["log/a: not measured", "log/b: not measured"])
    #expect(try missed(both, [], prefix: "disk/") == ["disk/c: not measured"])
  }

  @Test func aFileThatIsNoneIsWrongUsage() {
    #expect(throws: BenchError.self) { try missed("[]", []) }
    #expect { try Bars(path: "/nowhere") } throws: { ($0 as? BenchError)?.exitCode == 2 }
  }

  @Test func theBarsOfTheRepositoryCanBeRead() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let bars = try Bars(path: root.appendingPathComponent("Docs/Bars.json").path)
    #expect(bars.missed(by: [], prefix: "log/").contains("log/append-64: not measured"))
    #expect(
      bars.missed(by: [], prefix: "engine/")
        == ["insert-logged/rocksdb", "read/lmdb", "read/rocksdb", "scan/lmdb"].map { "engine/\($0): not measured" })
    #expect(bars.missed(by: [], prefix: "recovery/").count == 3)
  }
}
