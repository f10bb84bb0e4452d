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
using Spectre.Console;

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

    private static readonly Option<int?> s_connections = new("--connections", "-c") { Description = "Connections at a time, 1 to 20000; idle: in all, up to 10000000" };
    private static readonly Option<int?> s_pipeline = new("--pipeline") { Description = "http: requests on the way per connection, 1 to 64" };
    private static readonly Option<int?> s_bytes = new("--bytes") { Description = "Bytes of a ping, 1 to 65536, of a datagram 1 to 1400" };
    private static readonly Option<bool> s_new = new("--new-connection") { Description = "http: a connection for every request" };
    private static readonly Option<Closer> s_closer = new("--closer") { Description = "Who closes it first: client or server" };
    private static readonly Option<bool> s_reverse = new("--reverse") { Description = "bulk: from the server to the client" };
    private static readonly Option<bool> s_kestrel = new("--kestrel") { Description = "http: ASP.NET Core on our stack instead of call-backs; the peer is kestrel unless one is named" };
    private static readonly Option<bool> s_h2 = new("--h2") { Description = "http: HTTP/2 without TLS, with Kestrel as server and h2load (Debian: nghttp2-client) as client; --pipeline counts streams" };
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
            + "  peregrine bench all --quick --output results      all works and a report (as root for the kernel's side)")
        {
            s_name, s_link, s_peer, s_placement, s_connections, s_pipeline, s_bytes, s_new, s_closer, s_reverse, s_kestrel, s_h2,
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
        if (name == "idle") return await IdleAsync(parsed.GetValue(s_connections) ?? (quick ? 10_000 : 100_000), cancel).ConfigureAwait(false);
        if (name == "all") return await AllAsync(parsed, quick, pairs, output ?? "bench-results", cancel).ConfigureAwait(false);

        var work = Work(parsed, Enum.Parse<WorkKind>(name, ignoreCase: true), quick);
        work.Validate();
        var named = parsed.GetResult(s_peer) is { Implicit: false };
        var bed = work.FloodPerSecond > 0 ? CreateFloodBed(Link(parsed)) : CreateBed(Link(parsed), named ? parsed.GetValue(s_peer)! : work.LossPercent > 0 ? "none" : work.Kestrel ? "kestrel" : "k", parsed);
        await using (bed.ConfigureAwait(false)) await OneAsync(bed, work, pairs, output, cancel).ConfigureAwait(false);
        return 0;
    }

    private static async Task<int> AllAsync(ParseResult parsed, bool quick, int pairs, string output, CancellationToken cancel)
    {
        Directory.CreateDirectory(output);
        var link = Link(parsed);
        if (link != "memory")
        {
            await ManyAsync(CreateBed(link, parsed.GetValue(s_peer)!, parsed), Suite.OnKernel(quick)).ConfigureAwait(false);
            if (!quick && parsed.GetValue(s_peer) != "none") await ManyAsync(CreateBed(link, "kestrel", parsed), Suite.OfKestrel()).ConfigureAwait(false);
        }
        if (!quick) await ManyAsync(new MemifBed(""), Suite.OverMemif()).ConfigureAwait(false);
        await ManyAsync(new MemoryBed(), Suite.InMemory(quick)).ConfigureAwait(false);
        await IdleAsync(quick ? 10_000 : 100_000, cancel).ConfigureAwait(false);
        var page = Path.Combine(output, "report.html");
        ReportCommand.Write([output], page);
        Console.WriteLine($"\n{page}");
        return 0;

        async Task ManyAsync(Bed bed, IEnumerable<BenchWork> works)
        {
            await using (bed.ConfigureAwait(false))
            {
                foreach (var work in works) await OneAsync(bed, work, pairs, output, cancel).ConfigureAwait(false);
            }
        }
    }

    private static async Task<int> GuardAsync(ParseResult parsed, string name, string other, int pairs, string? output, CancellationToken cancel)
    {
        if (!File.Exists(other)) throw new FileNotFoundException($"--against is \"{other}\"; there is no such file. bench/guard builds a revision and names it.");
        if (name == "idle") throw new ArgumentException("'bench idle' has nothing to run in pairs: leave out --against.");
        var link = Link(parsed);
        var quick = parsed.GetValue(s_quick);
        var works = name != "all" ? [Work(parsed, Enum.Parse<WorkKind>(name, ignoreCase: true), quick)] : link == "memory" ? Suite.InMemory(quick) : Suite.OnKernel(quick);
        var slower = new List<string>();
        var bed = new ToolBed(link, other);
        await using (bed.ConfigureAwait(false))
        {
            foreach (var work in works) slower.AddRange(Guard.Regressions(await OneAsync(bed, work, pairs, output, cancel).ConfigureAwait(false)));
        }
        Console.WriteLine(slower.Count == 0 ? "\nnothing got slower by more than noise" : "\nslower:\n  " + string.Join("\n  ", slower));
        return slower.Count == 0 ? 0 : 1;
    }

    private static async Task<BenchResult> OneAsync(Bed bed, BenchWork work, int pairs, string? output, CancellationToken cancel)
    {
        Console.WriteLine($"\n{work.Title}; {bed.Link}; {pairs} runs of {work.Seconds} s each side");
        var result = await bed.MeasureAsync(work, pairs, static line => Console.Error.WriteLine("  " + line), cancel).ConfigureAwait(false);
        Print(result);
        if (output == null) return result;
        var file = string.Concat($"{bed.Link} {work.Title}".Select(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '=' ? c : '-')).Replace("--", "-", StringComparison.Ordinal);
        await File.WriteAllTextAsync(Path.Combine(output, file + ".json"), result.ToJson(), cancel).ConfigureAwait(false);
        return result;
    }

    private static async Task<int> IdleAsync(int connections, CancellationToken cancel)
    {
        var idle = await IdleBench.RunAsync(connections, cancel).ConfigureAwait(false);
        Console.WriteLine($"\n{connections:N0} idle connections between two stacks in memory, per connection and end:");
        foreach (var (what, bytes) in idle) Console.WriteLine(FormattableString.Invariant($"  {bytes,10:N0} B  {what}"));
        return 0;
    }

    private static void Print(BenchResult result)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("median of runs");
        foreach (var side in result.Sides) table.AddColumn(new TableColumn(Markup.Escape(side.Name)).RightAligned());
        if (result.Sides.Count > 1) table.AddColumn(new TableColumn("ratio (interval)").RightAligned());
        foreach (var metric in Metric.All)
        {
            var values = result.Sides.Select(metric.MedianOf).ToArray();
            if (values.All(double.IsNaN)) continue;
            List<string> row = [metric.Name, .. values.Select(static v => double.IsNaN(v) ? "-" : v.ToString(v < 100 ? "N2" : "N0", System.Globalization.CultureInfo.InvariantCulture))];
            if (result.Sides.Count > 1) row.Add(metric.RatioOf(result.Sides[0], result.Sides[1]).ToString());
            table.AddRow([.. row.Select(Markup.Escape)]);
        }
        AnsiConsole.Write(table);
        foreach (var side in result.Sides)
        {
            if (side.Runs.Sum(static run => run.Load.Errors) is > 0 and var errors) Console.WriteLine($"  {side.Name}: {errors} errors");
        }
    }

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

    private static Bed CreateFloodBed(string link) => link.Split(',')[0] is "xdp" or "packet"
        ? new FloodBed(link, static line => Console.Error.WriteLine("  " + line)) : throw new ArgumentException($"--link is \"{link}\"; with --flood it must be xdp or packet.");

    private static Bed CreateBed(string link, string peer, ParseResult parsed)
    {
        if (link == "memory") return new MemoryBed();
        if (link.Split(',')[0] == "memif") return new MemifBed(link["memif".Length..]);
        if (link.Split(',')[0] is not ("xdp" or "packet" or "tap")) throw new ArgumentException($"--link is \"{link}\"; it must be memory, memif, tap, packet or xdp, with link options behind a comma.");
        return new KernelBed(new KernelBedOptions(link, Peers.Find(peer), Peers.IsStack(peer), parsed.GetValue(s_placement) == "steered"));
    }
}
