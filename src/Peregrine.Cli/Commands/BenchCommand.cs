// "peregrine bench": which work, on which link, against whom, how often; a table when it is done and JSON where it is wanted. Servers, load
// and statistics are in Peregrine.Bench.
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using Peregrine.Bench;
using Peregrine.Bench.Lab;
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;
using Peregrine.Bench.Serving;

namespace Peregrine.Cli.Commands;

internal static class BenchCommand
{
    private static readonly string[] s_names = ["http", "pingpong", "bulk", "connect", "udp", "mixed", "loss", "idle", "all"];

    private static readonly Argument<string> s_name = new("name") { Description = "What to measure: " + string.Join(", ", s_names) };
    private static readonly Option<string> s_link = new("--link")
    {
        Description = "memory or memif (a process each; both without permission, both ends ours), tap, packet, or xdp, with link options behind a comma; auto is xdp for root and memory for others", DefaultValueFactory = static _ => "auto",
    };

    private static readonly Option<string> s_peer = new("--peer")
    {
        Description = "Whom to compare with on a kernel's link: k (a minimal epoll server in C), nginx, kestrel, lwip or gvisor (stacks of their own, over AF_PACKET: take --link packet), none, or the path of a program that is called with an address",
        DefaultValueFactory = static _ => "k",
    };

    private static readonly Option<string> s_placement = new("--placement")
    {
        Description = "steered: each end receives on its own core, as behind a card; default: as veth does it, on the sender's core", DefaultValueFactory = static _ => "steered",
    };

    private static readonly Option<bool> s_bare = new("--no-offloads") { Description = "Both ends of a veth pair sum and cut what they send, instead of leaving that to the device" };
    private static readonly Option<int?> s_connections = new("--connections", "-c") { Description = "Connections at a time, 1 to 20000; idle: in all, up to 10000000" };
    private static readonly Option<int?> s_pipeline = new("--pipeline") { Description = "http: requests on the way per connection, 1 to 64" };
    private static readonly Option<int?> s_bytes = new("--bytes") { Description = "Bytes of a ping, 1 to 65536, of a datagram 1 to 1400" };
    private static readonly Option<bool> s_new = new("--new-connection") { Description = "http: a connection for every request" };
    private static readonly Option<Closer> s_closer = new("--closer") { Description = "Who closes it first: client or server" };
    private static readonly Option<bool> s_reverse = new("--reverse") { Description = "bulk: from the server to the client" };
    private static readonly Option<bool> s_kestrel = new("--kestrel") { Description = "http: ASP.NET Core on our stack instead of call-backs; the peer is kestrel unless one is named" };
    private static readonly Option<bool> s_h2 = new("--h2") { Description = "http: HTTP/2 without TLS, with Kestrel as server and h2load (Debian: nghttp2-client) as client; --pipeline counts streams" };
    private static readonly Option<bool> s_await = new("--await") { Description = "Our server awaits, instead of being called back with spans" };
    private static readonly Option<bool> s_json = new("--json") { Description = "With --kestrel or --h2: an object that is written as JSON for each request, and not text that lies ready" };
    private static readonly Option<double?> s_rate = new("--rate") { Description = "Open loop: so many scheduled arrivals a second; latencies count from the schedule" };
    private static readonly Option<double?> s_flood = new("--flood") { Description = "http on xdp or packet: so many SYNs a second to the same port from addresses that nobody has, and the same dropped before us" };
    private static readonly Option<double?> s_loss = new("--loss") { Description = "Per cent of frames lost on our server's link, each way; needs --peer none" };
    private static readonly Option<bool?> s_spin = new("--spin") { Description = "Both ends look for work without sleeping" };
    private static readonly Option<double?> s_seconds = new("--seconds") { Description = "Measured seconds a run" };
    private static readonly Option<double?> s_warmUp = new("--warm-up") { Description = "Seconds before that" };
    private static readonly Option<int?> s_pairs = new("--pairs") { Description = "Runs of each side, in alternation, 1 to 99" };
    private static readonly Option<bool> s_quick = new("--quick") { Description = "Shorter and fewer runs" };
    private static readonly Option<string?> s_output = new("--output", "-o") { Description = "Write results as JSON into this folder (all: also report.html)" };

    private static readonly Option<string?> s_against = new("--against")
    {
        Description = "Another build's Peregrine.Cli.dll: runs of both alternate, and the status is 1 when this one got slower by more than noise (bench/guard calls it)",
    };

    internal static IEnumerable<Command> Create()
    {
        s_name.AcceptOnlyFromAmong(s_names);
        s_placement.AcceptOnlyFromAmong("steered", "default");
        var command = new Command("bench",
            "Measures, beside a server on the kernel's sockets where there is one.\n\nExamples:\n"
            + "  peregrine bench pingpong --link memory            two stacks in one process, no permission needed\n"
            + "  peregrine bench http -c 64                        as root: AF_XDP on veth against a minimal epoll server in C\n"
            + "  peregrine bench http -c 64 --rate 20000           open loop: latencies from scheduled arrivals\n"
            + "  peregrine bench http -c 64 --link tap --peer nginx\n"
            + "  peregrine bench http --h2 -c 8 --pipeline 16      HTTP/2: Kestrel on Peregrine and on kernel sockets, h2load asks\n"
            + "  peregrine bench http --kestrel --json -c 64       ASP.NET Core on both sides, JSON\n"
            + "  peregrine bench idle -c 1000000 --output results  memory by connections\n"
            + "  peregrine bench all --quick --output results      all works and a report (as root for the kernel's side)")
        {
            s_name, s_link, s_peer, s_placement, s_bare, s_connections, s_pipeline, s_bytes, s_new, s_closer, s_reverse, s_await, s_kestrel, s_h2, s_json,
            s_rate, s_flood, s_loss, s_spin, s_seconds, s_warmUp, s_pairs, s_quick, s_output, s_against,
        };
        command.SetAction(RunAsync);
        yield return command;

        var order = new Argument<string>("order");
        var server = new Command("bench-server", "Started by 'bench': a server in a process of its own.") { order };
        server.Hidden = true;
        server.SetAction((parsed, cancel) =>
        {
            var asked = JsonSerializer.Deserialize<ServerOrder>(parsed.GetValue(order)!)!;
            return asked.Kestrel ? BenchSite.RunAsync(asked, Console.In, Console.Out, cancel) : ServerProcess.RunAsync(asked, Console.In, Console.Out, cancel);
        });
        yield return server;

        var load = new Command("bench-load", "Started by 'bench': the client in a process of its own.") { Hidden = true };
        load.SetAction(static _ => LoadProcess.Run(Console.In, Console.Out));
        yield return load;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancel)
    {
        var name = parsed.GetValue(s_name)!;
        var quick = parsed.GetValue(s_quick);
        var pairs = parsed.GetValue(s_pairs) ?? Suite.Pairs(quick);
        if (pairs is < 1 or > 99) throw new ArgumentException($"--pairs is {pairs}; it must be from 1 to 99.");
        var output = parsed.GetValue(s_output);
        if (output != null) Directory.CreateDirectory(output);
        if (parsed.GetValue(s_against) is { } other) return await GuardAsync(parsed, name, other, pairs, output, cancel).ConfigureAwait(false);
        if (name == "idle") return await IdleAsync(parsed.GetValue(s_connections) ?? (quick ? 10_000 : 100_000), output, cancel).ConfigureAwait(false);
        if (name == "all") return await AllAsync(parsed, quick, pairs, output ?? "bench-results", cancel).ConfigureAwait(false);

        var work = Work(parsed, Enum.Parse<WorkKind>(name, ignoreCase: true), quick);
        work.Validate();
        var named = parsed.GetResult(s_peer) is { Implicit: false };
        var bed = work.FloodPerSecond > 0 ? CreateFloodBed(Link(parsed)) : CreateBed(Link(parsed), named ? parsed.GetValue(s_peer)! : work.LossPercent > 0 ? "none" : work.Kestrel ? "kestrel" : "k", parsed);
        await using (bed.ConfigureAwait(false)) await OneAsync(bed, work, pairs, output, cancel).ConfigureAwait(false);
        return 0;
    }

    /// <summary>All works, with a page of them; the status says whether each came about.</summary>
    private static async Task<int> AllAsync(ParseResult parsed, bool quick, int pairs, string output, CancellationToken cancel)
    {
        var link = Link(parsed);
        var (peer, steered) = (parsed.GetValue(s_peer)!, parsed.GetValue(s_placement) == "steered");
        if (link.StartsWith("mem", StringComparison.Ordinal)) link = "memory";
        else CheckKernelLink(link);
        var parts = Suite.Plan(link, peer, quick, pairs,
            (on, beside, steers, bare) => new KernelBedOptions(on, Peers.Find(beside), Peers.IsStack(beside), steers && steered, bare), Tell);
        parts = [.. parts.Select(part => part with { Works = [.. part.Works.Select(Timed)] })];
        return await BenchSuite.RunAsync(parts, quick, parsed.GetValue(s_connections) ?? Suite.Idle(quick), output, cancel).ConfigureAwait(false);

        BenchWork Timed(BenchWork work) => work with { Seconds = parsed.GetValue(s_seconds) ?? work.Seconds, WarmUpSeconds = parsed.GetValue(s_warmUp) ?? work.WarmUpSeconds };
    }

    private static async Task<int> GuardAsync(ParseResult parsed, string name, string other, int pairs, string? output, CancellationToken cancel)
    {
        if (!File.Exists(other)) throw new FileNotFoundException($"--against is \"{other}\"; there is no such file. bench/guard builds a revision and names it.");
        if (name == "idle") throw new ArgumentException("'bench idle' has nothing to run in pairs: leave out --against.");
        var link = Link(parsed);
        var quick = parsed.GetValue(s_quick);
        var works = name != "all" ? [Work(parsed, Enum.Parse<WorkKind>(name, ignoreCase: true), quick)] : link == "memory" ? Suite.InMemory(quick) : Suite.OnKernel(quick);
        return await BenchSuite.GuardAsync(new SuitePart(link, "other build", () => new ToolBed(link, other), pairs, [.. works]), output, cancel).ConfigureAwait(false);
    }

    private static async Task OneAsync(Bed bed, BenchWork work, int pairs, string? output, CancellationToken cancel)
    {
        Console.WriteLine($"\n{work.Title}; {bed.Link}; {pairs} runs of {work.Seconds} s each side");
        var result = await bed.MeasureAsync(work, pairs, Tell, cancel).ConfigureAwait(false);
        BenchTable.Print(result);
        if (output != null) await BenchTable.WriteAsync(output, result.FileName, result.ToJson(), cancel).ConfigureAwait(false);
    }

    private static async Task<int> IdleAsync(int connections, string? output, CancellationToken cancel)
    {
        var idle = await IdleBench.RunAsync(connections, Tell, cancel).ConfigureAwait(false);
        BenchTable.Print(idle);
        if (output != null) await BenchTable.WriteAsync(output, "idle.json", idle.ToJson(), cancel).ConfigureAwait(false);
        return 0;
    }

    private static void Tell(string line) => Console.Error.WriteLine("  " + line);

    private static BenchWork Work(ParseResult parsed, WorkKind kind, bool quick)
    {
        var work = Suite.Of(kind, quick);
        return work with
        {
            Connections = parsed.GetValue(s_connections) ?? 1,
            Pipeline = parsed.GetValue(s_pipeline) ?? 1,
            Bytes = parsed.GetValue(s_bytes) ?? work.Bytes,
            NewConnection = parsed.GetValue(s_new),
            Closer = parsed.GetValue(s_closer),
            Reverse = parsed.GetValue(s_reverse),
            Kestrel = parsed.GetValue(s_kestrel) || parsed.GetValue(s_h2),
            Http2 = parsed.GetValue(s_h2),
            Json = parsed.GetValue(s_json),
            Await = parsed.GetValue(s_await),
            Rate = parsed.GetValue(s_rate) ?? 0,
            FloodPerSecond = parsed.GetValue(s_flood) ?? 0,
            LossPercent = parsed.GetValue(s_loss) ?? work.LossPercent,
            Spin = parsed.GetValue(s_spin) ?? Link(parsed).StartsWith("mem", StringComparison.Ordinal),
            Seconds = parsed.GetValue(s_seconds) ?? work.Seconds,
            WarmUpSeconds = parsed.GetValue(s_warmUp) ?? work.WarmUpSeconds,
        };
    }

    private static string Link(ParseResult parsed) => parsed.GetValue(s_link) switch
    {
        "auto" => Environment.IsPrivilegedProcess ? "xdp" : "memory",
        var other => other!,
    };

    private static void CheckKernelLink(string link)
    {
        if (link.Split(',')[0] is not ("xdp" or "packet" or "tap")) throw new ArgumentException($"--link is \"{link}\"; it must be memory, memif, tap, packet or xdp, with link options behind a comma.");
    }

    private static Bed CreateFloodBed(string link) => link.Split(',')[0] is "xdp" or "packet"
        ? new FloodBed(link, Tell) : throw new ArgumentException($"--link is \"{link}\"; with --flood it must be xdp or packet.");

    private static Bed CreateBed(string link, string peer, ParseResult parsed)
    {
        if (link == "memory") return new MemoryBed();
        if (link.Split(',')[0] == "memif") return new MemifBed(link["memif".Length..]);
        CheckKernelLink(link);
        if (parsed.GetValue(s_bare) && link.Split(',')[0] != "xdp") throw new ArgumentException("--no-offloads goes with --link xdp: on the others our end leaves to the device what it can.");
        return new KernelBed(new KernelBedOptions(link, Peers.Find(peer), Peers.IsStack(peer), parsed.GetValue(s_placement) == "steered", parsed.GetValue(s_bare)));
    }
}
