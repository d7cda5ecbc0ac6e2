import Testing

@testable import fsbench

@Suite struct KeyTemplateTests {
  @Test(arguments: [0, 9, 10, 1_999_999, 999_999_999_998] as [UInt64])
  func keysAreAsLongAndSortAsNumbersDo(number: UInt64) {
    #expect(Key.text(number).utf8.count == Key.byteCount)
    #expect(Key.text(number) < Key.text(number + 1))
    #expect(Key.value(Key.text(number)).utf8.count == 100)
    #expect(Key.value(Key.text(number)).hasPrefix(Key.text(number)))
  }

  @Test func aTemplateIsWhatItIsMadeOfForEachKey() {
    func row(_ key: String) -> String { #"{"key":"\#(key)","value":"\#(Key.value(key))"}\#(key)"# }
    let template = KeyTemplate(row)
    for number in [0, 17, 1_999_999, 3, 999_999_999_998] as [UInt64] {
      #expect(String(decoding: template.bytes(for: number), as: UTF8.self) == row(Key.text(number)))
    }
  }

  @Test func bytesMayStandAroundTheKey() {
    let template = KeyTemplate(bytes: { [0, 255] + Array($0.utf8) + [128] })
    #expect(Array(template.bytes(for: 5)) == [0, 255] + Array(Key.text(5).utf8) + [128])
  }
}
