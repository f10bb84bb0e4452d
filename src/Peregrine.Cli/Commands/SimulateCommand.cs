// "peregrine simulate": the swarm from the command line: many seeds, one seed with a trace, a smaller world that still fails, shards and
// their sum.
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Peregrine.Core.Time;
using Peregrine.Simulation;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Swarm;
using Peregrine.Simulation.Trace;

namespace Peregrine.Cli.Commands;

internal static class SimulateCommand
{
    internal static Command Create()
    {
        var seeds = new Option<long>("--seeds") { HelpName = "N", Description = "How many seeds to run, one after the other from --first", DefaultValueFactory = static _ => 1_000 };
        var first = new Option<ulong?>("--first") { HelpName = "N", Description = "The first seed; without it the time chooses, so that every run takes fresh ones" };
        var seed = new Option<ulong?>("--seed") { HelpName = "N", Description = "Run only this seed" };
        var trace = new Option<bool>("--trace") { Description = "With --seed: print every frame and what became of it" };
        var pcap = new Option<FileInfo?>("--pcap") { HelpName = "FILE", Description = "With --seed: write a pcapng file with virtual times, for Wireshark" };
        var shrink = new Option<bool>("--shrink") { Description = "With --seed: look for a smaller world that fails by the same judge" };
        var shard = new Option<string?>("--shard") { HelpName = "i/n", Description = "Run only the i-th of n shares of the seeds, i from 1; --first is needed, the same for all" };
        var json = new Option<FileInfo?>("--json") { HelpName = "FILE", Description = "Write the result as JSON, for 'peregrine simulate merge'" };
        var threads = new Option<int>("--threads") { HelpName = "N", Description = "Worlds that run side by side", DefaultValueFactory = static _ => Environment.ProcessorCount };
        var without = new Option<SwarmFaults>("--without") { HelpName = "KINDS", Description = "Kinds of faults to leave out, separated by commas: " + string.Join(", ", Enum.GetNames<SwarmFaults>()[1..^1]) };
        var only = new Option<SwarmFaults>("--only") { HelpName = "KINDS", Description = "Of the kinds of faults that a seed chooses only these" };
        var hosts = new Option<int>("--hosts") { HelpName = "N", Description = "Hosts at most, 2 to 6", DefaultValueFactory = static _ => 6 };
        var flows = new Option<int>("--flows") { HelpName = "N", Description = "Conversations before faults stop; 0 for twenty or more", DefaultValueFactory = static _ => 0 };
        var bytes = new Option<int>("--bytes") { HelpName = "N", Description = "Bytes of a conversation at most", DefaultValueFactory = static _ => 200_000 };
        var plain = new Option<bool>("--plain") { Description = "No hosts whose applications are on sockets, and an adversary that asks for few answers at a time" };
        var manners = new Option<bool>("--manners") { Description = "A share of the hosts behaves as FreeBSD does, or has mechanisms of TCP off or on that are not so by default" };
        var command = new Command("simulate",
            "Runs whole networks in virtual time, each from a seed: hosts with real stacks, links with faults, and judges that\n"
            + "watch every turn. A seed that fails always fails, here and on any other machine.\n\nExamples:\n"
            + "  peregrine simulate --seeds 1000                    a thousand fresh worlds\n"
            + "  peregrine simulate --seed 42 --trace | less        one world, frame by frame\n"
            + "  peregrine simulate --seed 42 --pcap 42.pcapng      the same for Wireshark\n"
            + "  peregrine simulate --seed 42 --shrink              a smaller world that still fails, when 42 does\n"
            + "  parallel peregrine simulate --first 1 --seeds 100000 --shard {}/8 --json part-{}.json ::: $(seq 8)\n"
            + "  peregrine simulate merge part-*.json")
        {
            seeds, first, seed, trace, pcap, shrink, shard, json, threads, without, only, hosts, flows, bytes, plain, manners,
        };
        command.Subcommands.Add(CreateMerge());
        command.Subcommands.Add(CreateCrowd());
        // On a thread of its own: Ctrl-C is heard only while the action is awaited.
        command.SetAction((parsed, cancel) => Task.Run(
            () =>
            {
                Within("--hosts", parsed.GetValue(hosts), 2, 6);
                Within("--flows", parsed.GetValue(flows), 0, 1_000_000);
                Within("--bytes", parsed.GetValue(bytes), 1, 10_000_000);
                Within("--seeds", parsed.GetValue(seeds), 1, long.MaxValue);
                Within("--threads", parsed.GetValue(threads), 1, 1_024);
                var options = new SwarmOptions
                {
                    Faults = (parsed.GetValue(only) is SwarmFaults.None ? SwarmFaults.All : parsed.GetValue(only)) & ~parsed.GetValue(without), HostCountMax = parsed.GetValue(hosts),
                    FlowCountMax = parsed.GetValue(flows), BytesMax = parsed.GetValue(bytes),
                    IsPlain = parsed.GetValue(plain), HasManners = parsed.GetValue(manners),
                };
                if (parsed.GetValue(seed) is { } one) return One(one, options, parsed.GetValue(trace), parsed.GetValue(pcap), parsed.GetValue(shrink), cancel);
                if (parsed.GetValue(trace) || parsed.GetValue(shrink) || parsed.GetValue(pcap) is not null)
                    throw new ArgumentException("--trace, --pcap and --shrink are for one seed: give it by --seed N.");
                var (index, count) = ParseShard(parsed.GetValue(shard), parsed.GetValue(first));
                var range = new SwarmRange
                {
                    First = parsed.GetValue(first) ?? (ulong)DateTime.UtcNow.Ticks, Count = parsed.GetValue(seeds), ShardCount = count, ShardIndex = index,
                    ThreadCount = parsed.GetValue(threads), Options = options,
                };
                return Many(range, parsed.GetValue(json), cancel);
            },
            CancellationToken.None));
        return command;
    }

    private static Command CreateMerge()
    {
        var files = new Argument<FileInfo[]>("files") { Description = "Results that --json wrote", Arity = ArgumentArity.OneOrMore };
        var merge = new Command("merge", "Adds up the results of shards and prints the sum. Fails when a shard found something.") { files };
        merge.SetAction(parsed =>
        {
            var sum = new SwarmReport();
            foreach (var file in parsed.GetValue(files)!) sum.Add(SwarmJson.Read(File.ReadAllText(file.FullName), file.Name));
            SimulateOutput.Print(sum, new SwarmOptions());
            return sum.Failures.Count == 0 ? 0 : 1;
        });
        return merge;
    }

    private static Command CreateCrowd()
    {
        var seed = new Option<ulong>("--seed") { HelpName = "N", Description = "What the world follows from", DefaultValueFactory = static _ => 1 };
        var hosts = new Option<int>("--hosts") { HelpName = "N", Description = "Hosts, 2 to 250", DefaultValueFactory = static _ => 100 };
        var connections = new Option<int>("--connections") { HelpName = "N", Description = "Connections, 1 to a million", DefaultValueFactory = static _ => 10_000 };
        var crowd = new Command("crowd", "Runs one large world, in which all connections are open at the same time.") { seed, hosts, connections };
        crowd.SetAction(parsed =>
        {
            Within("--hosts", parsed.GetValue(hosts), 2, 250);
            Within("--connections", parsed.GetValue(connections), 1, 1_000_000);
            var started = Stopwatch.GetTimestamp();
            using var world = new CrowdWorld(parsed.GetValue(seed), parsed.GetValue(hosts), parsed.GetValue(connections));
            try
            {
                world.Run();
            }
            catch (SimulationFailureException e)
            {
                Console.WriteLine(e.Message);
                return 1;
            }
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{world.World.Hosts.Count} hosts, {world.Traffic.Flows.Count} connections, {world.OpenEndCount} ends open at once, {world.World.HostFrameCount:N0} frames: "
                + $"clean after {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s; trace hash {world.World.TraceHash:x16}"));
            return 0;
        });
        return crowd;
    }

    private static void Within(string name, long value, long min, long max)
    {
        if (value >= min && value <= max) return;
        throw new ArgumentException($"{name} is {value}; it must be {(max == long.MaxValue ? $"{min} or more" : $"from {min} to {max}")}.");
    }

    private static (int Index, int Count) ParseShard(string? text, ulong? first)
    {
        if (text is null) return (0, 1);
        var parts = text.Split('/');
        if (parts.Length != 2 || !int.TryParse(parts[0], CultureInfo.InvariantCulture, out var index) || !int.TryParse(parts[1], CultureInfo.InvariantCulture, out var count)
            || count < 1 || index < 1 || index > count)
            throw new ArgumentException($"--shard is '{text}'; it must be i/n with i from 1 to n, such as 3/8.");
        if (first is null) throw new ArgumentException("--shard needs --first, the same for all shards: else each would take seeds of its own.");
        return (index - 1, count);
    }

    private static int Many(SwarmRange range, FileInfo? json, CancellationToken cancel)
    {
        // Opened first: a name that cannot be written must not cost the whole run.
        using var result = json?.CreateText();
        var shown = Stopwatch.GetTimestamp();
        var isTerminal = !Console.IsErrorRedirected;
        var share = (range.Count + range.ShardCount - 1 - range.ShardIndex) / range.ShardCount;
        Console.Error.WriteLine($"seeds {range.First} to {range.First + (ulong)range.Count - 1}, {share} of them here, on {range.ThreadCount} threads; Ctrl-C ends it");
        var told = 0;
        var report = SwarmRunner.Run(range, cancel, soFar =>
        {
            // At once: a long run is not waited for to look at what it has found.
            for (; told < soFar.Failures.Count; told++) Console.Error.WriteLine((isTerminal ? "\r" : "") + soFar.Failures[told].Message);
            if (Stopwatch.GetElapsedTime(shown).TotalSeconds < (isTerminal ? 0.5 : 10)) return;
            shown = Stopwatch.GetTimestamp();
            var line = string.Create(CultureInfo.InvariantCulture, $"{soFar.Done} of {share} seeds, {soFar.Done / soFar.Seconds:F0} a second, {soFar.Failures.Count} failed");
            Console.Error.Write(isTerminal ? "\r" + line.PadRight(70) : line + "\n");
        });
        if (isTerminal) Console.Error.Write("\r" + new string(' ', 70) + "\r");
        result?.Write(SwarmJson.Write(report));
        SimulateOutput.Print(report, range.Options);
        if (cancel.IsCancellationRequested) return 130;
        return report.Failures.Count == 0 ? 0 : 1;
    }

    private static int One(ulong seed, SwarmOptions options, bool trace, FileInfo? pcap, bool shrink, CancellationToken cancel)
    {
        using var capture = pcap is null ? null : new FrameCapture(pcap.Create(), $"peregrine simulate --seed {seed}{options.CommandLine}");
        var counters = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var watch = new Watch(trace, capture, cancel);
        var result = SwarmRun.Run(seed, options, counters: counters, observer: trace || capture is not null ? watch : null);
        cancel.ThrowIfCancellationRequested();
        if (result.Failure is not { } failure)
        {
            if (!trace) SimulateOutput.PrintCounters(counters);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed} is clean; trace hash {result.Hash:x16}"));
            return 0;
        }
        if (!trace) Console.WriteLine(SwarmRun.LastFrames(seed, options));
        Console.WriteLine(failure.Message);
        if (shrink)
        {
            var smaller = SwarmRun.Shrink(seed, options, failure.Judge, static step => Console.Error.WriteLine("still fails " + step), cancel);
            cancel.ThrowIfCancellationRequested();
            Console.WriteLine($"the smallest that was found: peregrine simulate --seed {seed}{smaller.CommandLine} --trace");
            Console.WriteLine(SwarmRun.Run(seed, smaller).Failure?.Message);
        }
        return 1;
    }

    /// <summary>Prints and captures frames, and ends the run when the user wants it.</summary>
    private sealed class Watch(bool trace, FrameCapture? capture, CancellationToken cancel) : IFrameObserver
    {
        public void OnFrame(Instant time, LinkLane lane, ReadOnlySpan<byte> frame, FrameFate fate)
        {
            cancel.ThrowIfCancellationRequested();
            capture?.OnFrame(time, lane, frame, fate);
            if (trace) Console.WriteLine(FrameLog.Line(time, lane, frame, fate));
        }
    }
}
