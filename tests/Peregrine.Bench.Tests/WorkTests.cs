// Settings of a work: each out of range is refused by a message that names it, its value and its range.
using Peregrine.Bench.Lab;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Tests;

public sealed class WorkTests
{
    public static TheoryData<string, string> Wrong => new()
    {
        { nameof(BenchWork.Connections), "--connections is 0; it must be from 1 to 20000." },
        { nameof(BenchWork.Pipeline), "--pipeline is 65; it must be from 1 to 64." },
        { nameof(BenchWork.Bytes), "--bytes is 65537; it must be from 1 to 65536." },
        { nameof(BenchWork.Rate), "--rate is -1; it must be from 0 to 10000000." },
        { nameof(BenchWork.Seconds), "--seconds is NaN; it must be from 0.05 to 600." },
        { nameof(BenchWork.LossPercent), "--loss is 51; it must be from 0 to 50." },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void WhatIsOutOfRangeIsNamed(string setting, string message)
    {
        var work = new BenchWork { Kind = WorkKind.Http };
        work = setting switch
        {
            nameof(BenchWork.Connections) => work with { Connections = 0 },
            nameof(BenchWork.Pipeline) => work with { Pipeline = 65 },
            nameof(BenchWork.Bytes) => work with { Bytes = 65_537 },
            nameof(BenchWork.Rate) => work with { Rate = -1 },
            nameof(BenchWork.Seconds) => work with { Seconds = double.NaN },
            _ => work with { LossPercent = 51 },
        };
        Assert.Equal(message, Assert.Throws<ArgumentException>(work.Validate).Message);
    }

    [Fact]
    public void WhatDoesNotGoTogetherIsRefused()
    {
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.PingPong, Pipeline = 2 }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.Bulk, Rate = 5 }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.PingPong, NewConnection = true }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.Udp, Bytes = 1_401 }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.PingPong, Kestrel = true }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.Http, Http2 = true }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.Http, Http2 = true, Kestrel = true, Rate = 5 }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.Http, Json = true }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.Udp, Await = true }.Validate);
        Assert.Throws<ArgumentException>(new BenchWork { Kind = WorkKind.Http, Kestrel = true, Await = true }.Validate);
    }

    [Theory]
    [InlineData(true, "xdp", "k")]
    [InlineData(false, "xdp", "k")]
    [InlineData(false, "packet", "none")]
    [InlineData(false, "tap", "k")]
    [InlineData(false, "memory", "k")]
    public void TheSuitesWorksAreValidAndHaveRowsOfTheirOwn(bool quick, string link, string peer)
    {
        var parts = Suite.Plan(link, peer, quick, Suite.Pairs(quick), static (on, beside, steered, bare) => new KernelBedOptions(on, beside == "none" ? null : beside, Peers.IsStack(beside), steered, bare), static _ => { });
        var rows = new List<string>();
        foreach (var part in parts)
        {
            foreach (var work in part.Works)
            {
                work.Validate();
                rows.Add(BenchResult.Failed(work, part.Link, part.Peer, "").FileName);
            }
        }
        Assert.Equal(rows.Count, rows.Distinct().Count());
        // As planned it is done in time, with room for a machine that is a fifth slower.
        Assert.InRange(parts.Sum(static part => part.SecondsFrom(0, int.MaxValue)), 1, quick ? 240 : 25 * 60);
    }

    [Fact]
    public void WhatANamespaceIsCalledTellsWhoseItIs()
    {
        foreach (var (name, process) in new (string, int?)[] { ("pgb12c", 12), ("pgb7s3", 7), ("pgb", null), ("pgbc", null), ("pgb12", null), ("pgb12s", null), ("pgb12cx", null), ("pgb12s3x", null), ("other12c", null), ("pgbs12c", null) })
            Assert.Equal(process, VethLab.LeftOverOf(name));
    }

    [Fact]
    public void AnUnknownPeerIsRefusedWithThoseThatThereAre() =>
        Assert.Equal("--peer is \"apache\"; it must be k, nginx, kestrel, lwip, gvisor, none, or the path of a program.", Assert.Throws<ArgumentException>(() => Peers.Find("apache")).Message);

    [Fact]
    public void AWorkIsToldToAnotherBuildWithAllItsSettings()
    {
        var work = new BenchWork { Kind = WorkKind.Http, Connections = 7, NewConnection = true, Closer = Closer.Server, Seconds = 0.25, LossPercent = 0.5 };
        var line = string.Join(' ', ToolBed.Arguments("memory", work));
        Assert.StartsWith("bench http --link memory --peer none --pairs 1 --connections 7 ", line, StringComparison.Ordinal);
        foreach (var part in new[] { "--seconds 0.25", "--loss 0.5", "--closer server", "--new-connection", "--spin false" }) Assert.Contains(part, line, StringComparison.Ordinal);
        Assert.DoesNotContain("--reverse", line, StringComparison.Ordinal);
        Assert.DoesNotContain("--kestrel", line, StringComparison.Ordinal);
        Assert.EndsWith(" --kestrel --h2 --json", string.Join(' ', ToolBed.Arguments("xdp", work with { NewConnection = false, Kestrel = true, Http2 = true, Json = true })), StringComparison.Ordinal);
    }
}
