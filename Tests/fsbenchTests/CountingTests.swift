import Foundation
import Testing

@testable import fsbench

@Suite struct CountingTests {
  @Test func flushesAreTheSixteenthNumberOfADisk() {
    let older = " 1396723    62672 187453122  2159991 10611540 651253 258730256 1493510 0 653100 3926412 1 2 3 50833"
    #expect(Counting.flushes(older + "  4031710   222075\n") == 4_031_710)
    #expect(Counting.flushes(older) == 0, "an older kernel does not count them")
  }

  @Test func memoryIsLimitedByTheGroupAndByThoseAroundIt() {
    #expect(
      MemoryLimit.files("0::/a/b\n")
        == ["/a/b", "/a", ""].map { "/sys/fs/cgroup\($0)/memory.max" })
    #expect(
      MemoryLimit.files("9:name=systemd:/x\n4:hugetlb,memory:/c\n3:cpu,cpuacct:/d")
        == ["/c", ""].map { "/sys/fs/cgroup/memory\($0)/memory.limit_in_bytes" })
    #expect(MemoryLimit.files("").isEmpty && MemoryLimit.files("nonsense").isEmpty)
    #expect(MemoryLimit.limit("1073741824\n") == 1 << 30)
    #expect(MemoryLimit.limit("max\n") == nil && MemoryLimit.limit("9223372036854771712\n") == nil)
    #expect(MemoryLimit.limit("") == nil)
  }

  @Test func processorTimeIsReadBehindTheName() throws {
    #expect(Counting.ticks("71 (a) b (c) R 1 71 71 0 -1 4194304 118 0 0 0 17 5 0 0 20 0 1 0 9 9 9") == 22)
    #expect(Counting.ticks("") == nil)
    let me = ProcessInfo.processInfo.processIdentifier
    #expect(try Counting.processorTime([me, me]) >= Counting.processorTime([me]))
    #expect(throws: BenchError.self) { try Counting.processorTime([-1]) }
  }
}

@Suite struct CounterTests {
  private func counters(_ values: Double...) -> [Counter] { values.map { Counter(name: "the revision", value: $0) } }

  @Test func eachHasToRiseByTheNumberOfRequests() {
    #expect(Counter.fault(counters(5, 1_000_000), counters(105, 1_000_100), requests: 100) == nil)
    #expect(
      Counter.fault(counters(5, 0), counters(105, 99), requests: 100) == "100 requests, but the revision rose by 99.00")
    #expect(Counter.fault(counters(5), counters(106), requests: 100) != nil)
  }

  @Test func aFlushServesAtMostWhatWasInFlight() {
    #expect(Counter.flushFault(rose: 7, requests: 100, inFlight: 16) == nil)
    #expect(Counter.flushFault(rose: 6, requests: 100, inFlight: 16)?.contains("only 6 flushes") == true)
  }

  @Test func samplesAreSummedByLabels() {
    let page = MetricsPage(
      """
      # HELP handled_total Calls.
      handled_total{code="OK",method="Put"} 2000
      handled_total{code="OK",method="Range"} 30
      handled_total{code="Unknown",method="Put"} 1
      handled_total_other 5

      revision 2.000001e+06
      """)
    #expect(page.total("handled_total") == 2031)
    #expect(page.total("handled_total", #"code="OK""#, #"method="Put""#) == 2000)
    #expect(page.total("revision") == 2_000_001)
    #expect(page.total("none") == 0)
  }

  @Test func aPageIsWhatFollowsTheHead() {
    func body(_ answer: String) -> String? { PlainHTTP.body(of: Array(answer.utf8)) }
    #expect(body("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\na 1\n\r\n\r\nb") == "a 1\n\r\n\r\nb")
    #expect(body("HTTP/1.1 404 Not Found\r\n\r\n200") == nil)
    #expect(body("HTTP/1.0 200 OK\r\n") == nil)
    #expect(body("") == nil)
  }
}
