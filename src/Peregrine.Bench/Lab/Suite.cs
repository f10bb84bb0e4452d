// The works of "bench all", in the order of the report; the quick ones are a part of it. Sizes are what a small machine of two processors holds.
namespace Peregrine.Bench.Lab;

internal static class Suite
{
    // As fast as the generator goes beside a client on one processor.
    private const double FloodPerSecond = 200_000;

    /// <summary>What "bench all" measures, part by part.</summary>
    /// <param name="link">The kernel's link of the main part, or "memory" for none.</param>
    /// <param name="peer">Who is beside ours there.</param>
    /// <param name="quick">The quick ones.</param>
    /// <param name="pairs">Runs of each side in the main parts.</param>
    /// <param name="options">Options of a bed, of link, peer, whether each end receives on its own processor, and whether nothing is left to devices.</param>
    /// <param name="tell">Takes what a bed has to say beside its runs.</param>
    internal static IReadOnlyList<SuitePart> Plan(string link, string peer, bool quick, int pairs, Func<string, string, bool, bool, KernelBedOptions> options, Action<string> tell)
    {
        var (parts, few, isAlone) = (new List<SuitePart>(), Math.Min(pairs, SuiteRun.FewPairs), peer == "none");
        void Add(string on, string beside, int runs, IEnumerable<BenchWork> works, bool steered = true, bool offloads = true)
        {
            var option = options(on, beside, steered, !offloads);
            parts.Add(new SuitePart(option.Name, option.Peer == null ? "" : Path.GetFileName(option.Peer), () => new KernelBed(option), runs, [.. works]));
        }
        if (link != "memory")
        {
            Add(link, peer, pairs, OnKernel(quick));
            if (!quick && !isAlone)
            {
                Add(link, "kestrel", pairs, OfKestrel());
                if (!Is(link, "tap")) Add(link, peer, few, OnVethAsItIs(), steered: false);
                if (Is(link, "xdp")) Add(link, peer, few, Bulks(quick: false), offloads: false);
                foreach (var other in ((string[])["packet", "tap"]).Where(other => !Is(link, other))) Add(other, peer, few, Bulks(quick: false));
                Add(link, "nginx", few, [Http(64)]);
                foreach (var stack in (string[])["lwip", "gvisor"]) Add("packet", stack, few, OfStacks());
                if (!Is(link, "tap")) parts.Add(new SuitePart(link + " on veth", FloodBed.Dropped, () => new FloodBed(link, tell), few, [.. UnderFlood()]));
            }
        }
        if (!quick) parts.Add(new SuitePart("memif", "", static () => new MemifBed(""), pairs, [.. OverMemif()]));
        parts.Add(new SuitePart("memory", "", static () => new MemoryBed(), quick ? pairs : few, [.. InMemory(quick)]));
        return parts;
    }

    /// <summary>Works on a kernel's link, each against a peer.</summary>
    internal static IEnumerable<BenchWork> OnKernel(bool quick)
    {
        int[] counts = quick ? [1, 64] : [1, 64, 512];
        foreach (var count in counts) yield return Of(WorkKind.Http, quick) with { Connections = count };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, NewConnection = true };
        yield return Of(WorkKind.PingPong, quick) with { Spin = true };
        foreach (var bulk in Bulks(quick)) yield return bulk;
        if (quick) yield break;
        yield return Of(WorkKind.Http, quick) with { Connections = 64, NewConnection = true, Closer = Closer.Server };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, Pipeline = 16 };
        yield return Http(64) with { Await = true };
        // Equal load: what processor time is compared at.
        yield return Of(WorkKind.Http, quick) with { Connections = 1, Rate = 5_000 };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, Rate = 20_000 };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, NewConnection = true, Rate = 5_000 };
        yield return Of(WorkKind.PingPong, quick);
        yield return Of(WorkKind.Connect, quick) with { Connections = 64 };
        yield return Of(WorkKind.Udp, quick) with { Spin = true };
        yield return Of(WorkKind.Udp, quick) with { Connections = 64 };
        yield return Of(WorkKind.Mixed, quick);
    }

    /// <summary>Works on a kernel's link with ASP.NET Core on both sides; not among the quick ones.</summary>
    internal static IEnumerable<BenchWork> OfKestrel()
    {
        yield return Http(64) with { Kestrel = true };
        yield return Http(64) with { Kestrel = true, Json = true };
        yield return Http(64) with { Kestrel = true, NewConnection = true };
        yield return Http(8) with { Kestrel = true, Http2 = true, Pipeline = 16 };
    }

    /// <summary>Works between two processes of ours; not among the quick ones.</summary>
    internal static IEnumerable<BenchWork> OverMemif()
    {
        yield return Of(WorkKind.PingPong, quick: false) with { Spin = true };
        yield return Http(64) with { Spin = true };
    }

    /// <summary>Works on a link in memory.</summary>
    internal static IEnumerable<BenchWork> InMemory(bool quick)
    {
        yield return Of(WorkKind.PingPong, quick) with { Spin = true };
        yield return Of(WorkKind.Http, quick) with { Connections = 64, Spin = true };
        yield return Of(WorkKind.Connect, quick) with { Connections = 64, Spin = true };
        yield return Of(WorkKind.Bulk, quick) with { Spin = true };
        if (quick) yield break;
        yield return Http(64) with { Spin = true, Await = true };
        foreach (var loss in (double[])[0.1, 1, 3]) yield return Of(WorkKind.Loss, quick) with { LossPercent = loss, Spin = true };
    }

    /// <summary>One work of a kind with its defaults.</summary>
    internal static BenchWork Of(WorkKind kind, bool quick) => new() { Kind = kind, Seconds = quick ? 1 : 1.2, WarmUpSeconds = quick ? 0.2 : 0.3, LossPercent = kind == WorkKind.Loss ? 1 : 0 };

    /// <summary>Runs of each side: the long suite's are as many as leave out the most extreme pair at each end of an interval.</summary>
    internal static int Pairs(bool quick) => quick ? SuiteRun.FewPairs : 8;

    /// <summary>Idle connections of the suite.</summary>
    internal static int Idle(bool quick) => quick ? 10_000 : 1_000_000;

    private static bool Is(string link, string kind) => link.Split(',')[0] == kind;

    private static BenchWork Http(int connections) => Of(WorkKind.Http, quick: false) with { Connections = connections };

    private static IEnumerable<BenchWork> Bulks(bool quick) => [Of(WorkKind.Bulk, quick), Of(WorkKind.Bulk, quick) with { Reverse = true }];

    private static IEnumerable<BenchWork> OnVethAsItIs() => [Http(64), Of(WorkKind.PingPong, quick: false) with { Spin = true }];

    private static IEnumerable<BenchWork> OfStacks() => [Http(64), Of(WorkKind.PingPong, quick: false), .. Bulks(quick: false)];

    private static IEnumerable<BenchWork> UnderFlood() =>
        [Http(64) with { FloodPerSecond = FloodPerSecond }, Http(64) with { FloodPerSecond = FloodPerSecond, Rate = 20_000 }];
}
