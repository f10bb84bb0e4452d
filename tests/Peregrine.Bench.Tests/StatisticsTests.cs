// The parts of a measurement that can be wrong without anybody noticing: intervals, schedules, percentiles and counts.
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;
using Peregrine.Bench.Serving;

namespace Peregrine.Bench.Tests;

public sealed class StatisticsTests
{
    [Theory]
    [InlineData(5, 0, 0.9375)]
    [InlineData(9, 1, 0.9609375)]
    [InlineData(1, 0, 0)]
    public void CoverageIsThatOfTheBinomialDistribution(int count, int cut, double expected) => Assert.Equal(expected, PairedRatio.CoverageOf(count, cut), 12);

    [Fact]
    public void AProcessKeepsTheTimeOfItsThreadsThatHaveEnded()
    {
        const double share = 0.02;
        var before = Clock.ProcessCpuSeconds(Environment.ProcessId);
        var thread = new Thread(static () =>
        {
            for (var start = Clock.ThreadCpuSeconds; Clock.ThreadCpuSeconds - start < share;) Thread.SpinWait(10_000);
        });
        thread.Start();
        thread.Join();
        Assert.True(Clock.ProcessCpuSeconds(Environment.ProcessId) - before >= share);
        Assert.Equal(0, Clock.ProcessCpuSeconds(1 << 22));
    }

    [Fact]
    public void ASideIsWarmWhenTwoRunsInTurnWereNotClearlyBetterAndCompiledNothing()
    {
        var warm = new WarmUp();
        foreach (var (rate, compiled, isOver) in new[] { (100.0, 9, false), (101, 0, false), (102, 1, false), (150, 0, false), (151, 0, false), (130, 0, true) })
        {
            warm.Add(rate, compiled);
            Assert.Equal(isOver, warm.IsOver);
        }
        var peer = new WarmUp(least: 4);
        for (var i = 1; i <= 4; i++)
        {
            Assert.False(peer.IsOver);
            peer.Add(100, 0);
        }
        Assert.True(peer.IsOver);
        var growing = new WarmUp();
        for (var i = 1; !growing.IsOver; i++)
        {
            Assert.InRange(i, 1, 10);
            growing.Add(i * i, 0);
        }
    }

    [Fact]
    public void TheIntervalIsTheNarrowestThatCoversNineTenths()
    {
        var ratio = PairedRatio.OfValues([9, 1, 2, 8, 3, 7, 4, 6, 5]);
        Assert.Equal((5, 2, 8), (ratio.Median, ratio.Low, ratio.High));
        Assert.Equal(0.9609375, ratio.Coverage, 12);
    }

    [Fact]
    public void OneDisturbedRunMovesNoMedian()
    {
        var ratio = PairedRatio.Of([100, 100, 1, 100, 100], [50, 50, 50, 50, 50]);
        Assert.Equal(2, ratio.Median);
        Assert.False(ratio.IsClear);
    }

    [Fact]
    public void ADifferenceIsClearOnlyWhenTheIntervalLeavesOutOne()
    {
        Assert.True(PairedRatio.OfValues([1.1, 1.2, 1.3, 1.1, 1.2]).IsClear);
        Assert.False(PairedRatio.OfValues([0.9, 1.2, 1.3, 1.1, 1.2]).IsClear);
        // Three runs agree too easily: an eighth of the time they all fall on one side.
        Assert.False(PairedRatio.OfValues([1.1, 1.2, 1.3]).IsClear);
        Assert.False(PairedRatio.OfValues([]).IsClear);
    }

    [Fact]
    public void RunsThatHaveNoPartnerAreRefused() => Assert.Throws<ArgumentException>(() => PairedRatio.Of([1, 2], [1]));

    [Fact]
    public void ArrivalsAreEquallySpacedAndCountFromTheStart()
    {
        var schedule = new ArrivalSchedule(1_000, 5_000_000);
        Assert.False(schedule.TryTake(4_999_999, out _));
        var due = new List<long>();
        // The taker comes late: each arrival still has its own time, so its latency holds the wait (no coordinated omission).
        while (schedule.TryTake(8_000_000, out var at)) due.Add(at);
        Assert.Equal([5_000_000, 6_000_000, 7_000_000, 8_000_000], due);
        Assert.Equal(0, schedule.Overdue(8_999_999));
        Assert.Equal(2, schedule.Overdue(10_000_000));
    }

    [Fact]
    public void PercentilesComeWithinAThousandth()
    {
        var latencies = new Latencies();
        for (var i = 1; i <= 100_000; i++) latencies.Add(i * 1_000L);
        var summary = latencies.Summary();
        Assert.Equal(["p50", "p90", "p99", "p99.9", "max"], summary.Keys);
        foreach (var (name, exact) in new[] { ("p50", 50e6), ("p90", 90e6), ("p99", 99e6), ("p99.9", 99.9e6), ("max", 100e6) }) Assert.InRange(summary[name], exact * 0.999, exact * 1.001);
        latencies.Clear();
        Assert.Empty(latencies.Summary());
    }

    [Fact]
    public void HeadersAreCountedHoweverTheyAreCut()
    {
        var three = string.Concat(Enumerable.Repeat("GET / HTTP/1.1\r\nHost: b\r\n\r\n", 3));
        var bytes = System.Text.Encoding.ASCII.GetBytes(three);
        for (var piece = 1; piece <= bytes.Length; piece++)
        {
            var ends = default(HeaderEnds);
            var count = 0;
            for (var at = 0; at < bytes.Length; at += piece) count += ends.Count(bytes.AsSpan(at, Math.Min(piece, bytes.Length - at)));
            Assert.Equal(3, count);
        }
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n", 52)]
    [InlineData("HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length:0\r\n\r\n", 48)]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Le", 0)]
    public void AnAnswersLengthIsItsHeadersAndBody(string header, int expected) => Assert.Equal(expected, AnswerLength.OfHttp(System.Text.Encoding.ASCII.GetBytes(header)));

    [Theory]
    [InlineData("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")]
    public void AnAnswerThatCannotBeMeasuredIsRefused(string header) =>
        Assert.Throws<InvalidDataException>(() => AnswerLength.OfHttp(System.Text.Encoding.ASCII.GetBytes(header)));
}
