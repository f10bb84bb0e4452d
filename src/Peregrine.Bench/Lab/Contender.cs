// A server that takes part: what it is called, where it is asked, and what it has used so far. Peregrine's own also counts frames and calls.
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Lab;

internal sealed class Contender(string name, string placement, string address, Helper process, string? control, IReadOnlyList<int> kernelThreads) : IAsyncDisposable
{
    private bool _isPaused;

    internal string Name => name;

    internal string Placement => placement;

    internal string Address => address;

    internal async Task<ServerUsage> ReadAsync(CancellationToken cancel)
    {
        var usage = new ServerUsage { CpuSeconds = CpuSecondsOf(process.ProcessId, kernelThreads), MachineSeconds = MachineSeconds() };
        if (control == null) return usage;
        await process.WriteLineAsync("stats").ConfigureAwait(false);
        var managed = (await process.ReadLineAsync(cancel).ConfigureAwait(false)).Split(' ');
        usage = usage with
        {
            AllocatedBytes = long.Parse(managed[0], CultureInfo.InvariantCulture),
            Collections = int.Parse(managed[1], CultureInfo.InvariantCulture),
            CompiledMethods = long.Parse(managed[2], CultureInfo.InvariantCulture),
        };
        return await WithCountersAsync(usage, control, cancel).ConfigureAwait(false);
    }

    /// <summary>Stops all its threads where they are.</summary>
    internal void Pause()
    {
        if (!_isPaused) Helper.Run("kill", "-STOP", $"{process.ProcessId}");
        _isPaused = true;
    }

    internal void Continue()
    {
        if (_isPaused) Helper.Run("kill", "-CONT", $"{process.ProcessId}");
        _isPaused = false;
    }

    public ValueTask DisposeAsync()
    {
        try
        {
            Continue();
        }
        catch (IOException)
        {
            // It has ended already.
        }
        return process.DisposeAsync();
    }

    /// <summary>All counters of a network, asked over its control socket.</summary>
    internal static async Task<JsonDocument> CountersAsync(string control, CancellationToken cancel)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(control), cancel).ConfigureAwait(false);
        await socket.SendAsync(Encoding.ASCII.GetBytes("{\"get\":\"counters\"}\n"), cancel).ConfigureAwait(false);
        using var reader = new StreamReader(new NetworkStream(socket));
        return JsonDocument.Parse(await reader.ReadLineAsync(cancel).ConfigureAwait(false) ?? "{}");
    }

    /// <summary>Adds what a network's control socket counts.</summary>
    internal static async Task<ServerUsage> WithCountersAsync(ServerUsage usage, string control, CancellationToken cancel)
    {
        using var answer = await CountersAsync(control, cancel).ConfigureAwait(false);
        var (link, engine) = (answer.RootElement.GetProperty("link"), answer.RootElement.GetProperty("engine"));
        return usage with
        {
            FramesIn = link.GetProperty("ReceivedFrames").GetInt64(),
            FramesOut = link.GetProperty("SentFrames").GetInt64(),
            SystemCalls = link.GetProperty("SystemCalls").GetInt64() + engine.GetProperty("Sleeps").GetInt64(),
        };
    }

    /// <summary>Processor seconds of a process, its children and some threads of the kernel's.</summary>
    private static double CpuSecondsOf(int root, IReadOnlyList<int> kernelThreads)
    {
        var sum = kernelThreads.Sum(static thread => Clock.CpuSecondsIn($"/proc/{thread}/schedstat"));
        var open = new Stack<int>([root]);
        while (open.TryPop(out var id))
        {
            if (!Directory.Exists($"/proc/{id}/task")) continue;
            // The process's own clock: threads of a pool come and go, and take their sums with them.
            sum += Clock.ProcessCpuSeconds(id);
            foreach (var task in Directory.GetDirectories($"/proc/{id}/task"))
            {
                if (!File.Exists(task + "/children")) continue;
                foreach (var child in File.ReadAllText(task + "/children").Split(' ', StringSplitOptions.RemoveEmptyEntries)) open.Push(int.Parse(child, CultureInfo.InvariantCulture));
            }
        }
        return sum;
    }

    /// <summary>Busy seconds of all processors since the machine started.</summary>
    internal static double MachineSeconds()
    {
        // user nice system idle iowait irq softirq steal, in hundredths of a second (man 5 proc_stat).
        const double TicksPerSecond = 100;
        var fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(static f => long.Parse(f, CultureInfo.InvariantCulture)).ToArray();
        return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / TicksPerSecond;
    }
}
