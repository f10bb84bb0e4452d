// The page and the files: they hold what was measured, say it without colours, and refuse what they are not.
using System.Xml.Linq;
using Peregrine.Bench.Load;
using Peregrine.Bench.Report;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Tests;

public sealed class ReportTests
{
    private static BenchRun Run(double rate, double cpu) => new(
        new LoadResult { Seconds = 1, Operations = (long)rate, ClientCpuSeconds = 0.5, Latency = new Dictionary<string, double> { ["p50"] = 20_000, ["p90"] = 30_000, ["p99"] = 90_000, ["p99.9"] = 200_000, ["max"] = 1_000_000 } },
        new ServerUsage { CpuSeconds = cpu, MachineSeconds = 2 * cpu, AllocatedBytes = 0, FramesIn = (long)rate, FramesOut = (long)rate });

    private static BenchResult Result(string peer = "k") => new()
    {
        Title = "http, c=64 <&>", Link = "xdp on veth", Work = new BenchWork { Kind = WorkKind.Http, Connections = 64 }, Machine = new MachineDescription { Processor = "Test", ProcessorCount = 2 },
        Sides =
        [
            new BenchSide("Peregrine", "here", [.. Enumerable.Range(0, 5).Select(i => Run(200_000 + i, 0.5))]),
            new BenchSide(peer, "there", [.. Enumerable.Range(0, 5).Select(i => Run(100_000 + i, 1))]),
        ],
    };

    [Fact]
    public void AResultRoundTrips()
    {
        var result = Result();
        var again = BenchResult.Parse(result.ToJson(), "x");
        Assert.Equal(result.ToJson(), again.ToJson());
        Assert.Equal(result.Work, again.Work);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("[1]")]
    [InlineData("{\"format\":\"peregrine-bench 1\",\"title\":\"t\",\"link\":\"l\",\"work\":{\"kind\":\"http\"},\"machine\":{},\"sides\":[]}")]
    public void WhatIsNoResultIsRefusedByName(string text) =>
        Assert.StartsWith("x.json is no result", Assert.Throws<InvalidDataException>(() => BenchResult.Parse(text, "x.json")).Message, StringComparison.Ordinal);

    [Fact]
    public void ThePageStandsAlone()
    {
        var page = HtmlReport.Create([Result()], []);
        Assert.DoesNotContain("<script", page, StringComparison.Ordinal);
        Assert.DoesNotContain("src=", page, StringComparison.Ordinal);
        Assert.DoesNotContain("href=", page, StringComparison.Ordinal);
        Assert.Contains("http, c=64 &lt;&amp;&gt;", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<&>", page, StringComparison.Ordinal);
        Assert.Contains("2.00 better", page, StringComparison.Ordinal);
        Assert.Contains("0.25 better", page, StringComparison.Ordinal);
    }

    [Fact]
    public void EveryPlotIsWellFormedAndTellsSidesApartByShape()
    {
        var page = HtmlReport.Create([Result()], []);
        var plots = 0;
        for (var at = 0; (at = page.IndexOf("<svg", at, StringComparison.Ordinal)) >= 0; plots++)
        {
            var end = page.IndexOf("</svg>", at, StringComparison.Ordinal) + 6;
            var plot = XElement.Parse(page[at..end]);
            if (plot.Descendants().Any(static e => (string?)e.Attribute("class") == "line1"))
            {
                Assert.Contains(plot.Descendants(), static e => e.Name.LocalName == "circle");
                Assert.Contains(plot.Descendants(), static e => e.Name.LocalName == "rect");
            }
            at = end;
        }
        Assert.Equal(7, plots);
    }

    [Fact]
    public void AVerdictNeedsMoreThanNoise()
    {
        Assert.Equal("within noise", HtmlReport.Verdict(Metric.Rate, PairedRatio.OfValues([0.9, 1.1, 1, 1, 1.2])));
        Assert.Equal("worse", HtmlReport.Verdict(Metric.ServerCpu, PairedRatio.OfValues([1.1, 1.1, 1.2, 1.1, 1.2])));
        Assert.Equal("better", HtmlReport.Verdict(Metric.Rate, PairedRatio.OfValues([1.1, 1.1, 1.2, 1.1, 1.2])));
    }

    [Fact]
    public void OneSideAloneHasAPageToo() => Assert.DoesNotContain("At a glance", HtmlReport.Create([Result() with { Sides = [Result().Sides[0]] }], []), StringComparison.Ordinal);

    private static IdleResult Idle() => new()
    {
        Machine = new MachineDescription { Processor = "Test", ProcessorCount = 2 }, ReservedBytes = 500_000,
        Points = [new IdlePoint(100, 1_000_000, 20_000, 0.5), new IdlePoint(1_000, 1_900_000, 200_000, 3)],
    };

    [Fact]
    public void IdleConnectionsHaveAPageOfTheirOwnAndSayWhatOneMoreCosts()
    {
        var idle = IdleResult.Parse(Idle().ToJson(), "x");
        Assert.Equal(Idle().ToJson(), idle.ToJson());
        Assert.Equal([950, 100, 500, 500], idle.PerEnd().Select(static row => row.Bytes));
        Assert.Equal((200, 300), (idle.PerSecond(0), idle.PerSecond(1)));
        var page = HtmlReport.Create([], [idle]);
        Assert.Contains("idle, 1,000 connections", page, StringComparison.Ordinal);
        Assert.Contains("<td>resident, for one more</td><td>500</td>", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"format\":\"peregrine-idle 1\",\"machine\":{},\"points\":[]}")]
    [InlineData("{\"format\":\"peregrine-idle 1\",\"machine\":{},\"points\":[{\"connections\":0}]}")]
    [InlineData("{\"format\":\"peregrine-idle 1\",\"machine\":{},\"points\":[{\"connections\":2},{\"connections\":2}]}")]
    public void WhatIsNoResultOfIdleConnectionsIsRefusedByName(string text) =>
        Assert.StartsWith("x.json is no result", Assert.Throws<InvalidDataException>(() => IdleResult.Parse(text, "x.json")).Message, StringComparison.Ordinal);

    [Fact]
    public void AWorkThatDidNotComeAboutHasItsRowWithTheReason()
    {
        var failed = BenchResult.Failed(new BenchWork { Kind = WorkKind.PingPong }, "xdp on veth", "k", "gcc is <missing>");
        Assert.Equal(failed.ToJson(), BenchResult.Parse(failed.ToJson(), "x").ToJson());
        var page = HtmlReport.Create([Result(), failed], []);
        Assert.Contains("<td>pingpong, 64 B, c=1, blocking</td><td>xdp on veth</td><td></td><td></td><td>k</td><td colspan=\"6\">did not come about: gcc is &lt;missing&gt;</td>", page, StringComparison.Ordinal);
    }

    [Fact]
    public void EachRowSaysWhichInterfaceItUsed()
    {
        var result = Result();
        result = result with { Sides = [result.Sides[0] with { Api = "call-backs with spans" }, result.Sides[1] with { Api = "epoll" }] };
        Assert.Contains("<td>call-backs with spans</td><td class=\"n\">200,002/s</td><td>k: epoll</td><td class=\"n\">100,002/s</td><td class=\"n\">2.00 (2.00 to 2.00) better</td><td class=\"n\">0.25</td>",
            HtmlReport.Create([result], []), StringComparison.Ordinal);
        // Of two that spin the processor time is their rate once more.
        Assert.DoesNotContain("0.25</td><td class", HtmlReport.Create([result with { Work = result.Work with { Spin = true } }], []).Split("<h2>At a glance")[0], StringComparison.Ordinal);
    }

    [Fact]
    public void WhatGotSlowerIsNamedAndWhatIsWithinNoiseIsNot()
    {
        var result = Result();
        Assert.Empty(Guard.Regressions(result));
        var turned = result with { Sides = [result.Sides[1], result.Sides[0]] };
        var lines = Guard.Regressions(turned).ToArray();
        Assert.Equal(3, lines.Length);
        Assert.StartsWith("http, c=64 <&>: operations/s is 0.50", lines[0], StringComparison.Ordinal);
        // Latencies were the same on both.
        Assert.DoesNotContain(lines, static line => line.Contains("p50", StringComparison.Ordinal));
    }
}
