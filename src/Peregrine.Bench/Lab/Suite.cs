// The works of "bench all", in the order of the report; the quick ones are a part of it. Sizes are what a small machine of two processors holds.
namespace Peregrine.Bench.Lab;

internal static class Suite
{
    /// <summary>Works on a kernel's link, each against a peer.</summary>
    internal static IEnumerable<BenchWork> OnKernel(bool quick)
    {
        int[] counts = quick ? [1, 64] : [1, 64, 512];
        foreach (var count in counts) yield return Of(WorkKind.Http, quick) with { Connections = count };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, NewConnection = true };
        yield return Of(WorkKind.PingPong, quick) with { Spin = true };
        yield return Of(WorkKind.Bulk, quick);
        yield return Of(WorkKind.Bulk, quick) with { Reverse = true };
        if (quick) yield break;
        yield return Of(WorkKind.Http, quick) with { Connections = 64, NewConnection = true, Closer = Closer.Server };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, Pipeline = 16 };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, Rate = 20_000 };
        yield return Of(WorkKind.PingPong, quick);
        yield return Of(WorkKind.Connect, quick) with { Connections = 64 };
        yield return Of(WorkKind.Udp, quick) with { Spin = true };
        yield return Of(WorkKind.Udp, quick) with { Connections = 64 };
        yield return Of(WorkKind.Mixed, quick);
    }

    /// <summary>Works on a kernel's link with ASP.NET Core on both sides; not among the quick ones.</summary>
    internal static IEnumerable<BenchWork> OfKestrel()
    {
        yield return Of(WorkKind.Http, quick: false) with { Kestrel = true, Connections = 64 };
        yield return Of(WorkKind.Http, quick: false) with { Kestrel = true, Connections = 64, NewConnection = true };
        yield return Of(WorkKind.Http, quick: false) with { Kestrel = true, Http2 = true, Connections = 8, Pipeline = 16 };
    }

    /// <summary>Works between two processes of ours; not among the quick ones.</summary>
    internal static IEnumerable<BenchWork> OverMemif()
    {
        yield return Of(WorkKind.PingPong, quick: false) with { Spin = true };
        yield return Of(WorkKind.Http, quick: false) with { Connections = 64, Spin = true };
    }

    /// <summary>Works on a link in memory.</summary>
    internal static IEnumerable<BenchWork> InMemory(bool quick)
    {
        yield return Of(WorkKind.PingPong, quick) with { Spin = true };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, Spin = true };
        yield return Of(WorkKind.Connect, quick) with { Connections = 64, Spin = true };
        yield return Of(WorkKind.Bulk, quick) with { Spin = true };
        if (quick) yield break;
        foreach (var loss in (double[])[0.1, 1, 3]) yield return Of(WorkKind.Loss, quick) with { LossPercent = loss, Spin = true };
    }

    /// <summary>One work of a kind with its defaults.</summary>
    internal static BenchWork Of(WorkKind kind, bool quick) => new() { Kind = kind, Seconds = quick ? 1 : 1.5, WarmUpSeconds = quick ? 0.2 : 0.5, LossPercent = kind == WorkKind.Loss ? 1 : 0 };

    /// <summary>Runs of each side.</summary>
    internal static int Pairs(bool quick) => quick ? 5 : 9;
}
