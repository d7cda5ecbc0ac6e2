import Testing

@testable import fsbench

@Suite struct ShapeTests {
  @Test func shapesAreConnectionsAndStreams() {
    #expect(Shape("16x32") == Shape(connections: 16, streams: 32))
    #expect(Shape("16x32")?.inFlight == 512)
    #expect(Shape.list("1x1,16x16")?.map(\.description) == ["1x1", "16x16"])
  }

  @Test(arguments: ["", "1", "1x", "x1", "1x1x1", "0x1", "1x0", "1001x1", "1x101", "1x1,", "a", "1x1 "])
  func anythingElseIsNone(text: String) {
    #expect(Shape.list(text) == nil)
  }
}
