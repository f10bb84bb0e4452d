// The client in a process of its own: "peregrine bench-load". Reads one work a line, says "measuring" when its measured time begins, and
// answers with one line. It lives from run to run, so that its code is compiled before anything is measured.
using System.Net;
using System.Text.Json;
using Peregrine.Bench.Serving;
using Peregrine.Drivers;

namespace Peregrine.Bench.Load;

/// <summary>One run that a client is asked for.</summary>
/// <param name="Work">The work.</param>
/// <param name="Address">The server's.</param>
/// <param name="Link">The line of a link for a client on a stack of ours; empty for one on kernel sockets.</param>
internal sealed record LoadOrder(BenchWork Work, string Address, string Link = "");

internal static class LoadProcess
{
    internal const string Measuring = "measuring";

    private const string Name = "bench-client";

    internal static void Run(TextReader input, TextWriter output)
    {
        output.WriteLine("ready");
        while (input.ReadLine() is { } line)
        {
            try
            {
                var order = JsonSerializer.Deserialize<LoadOrder>(line)!;
                output.WriteLine(JsonSerializer.Serialize(Run(order, () => output.WriteLine(Measuring))));
            }
            catch (Exception e) when (e is IOException or InvalidDataException or System.Net.Sockets.SocketException)
            {
                output.WriteLine("error " + e.Message.ReplaceLineEndings(" "));
            }
        }
    }

    private static LoadResult Run(LoadOrder order, Action onMeasure)
    {
        if (order.Link.Length > 0) return RunOnStackAsync(order, onMeasure).GetAwaiter().GetResult();
        if (order.Work.Http2) return Http2Load.Run(order.Work, order.Address, onMeasure);
        using var load = new KernelLoad(order.Work, IPAddress.Parse(order.Address)) { OnMeasure = onMeasure };
        return load.Run();
    }

    private static async Task<LoadResult> RunOnStackAsync(LoadOrder order, Action onMeasure)
    {
        using var link = LinkFactory.Open(order.Link, new LinkSettings());
        var network = await PeregrineNetwork.StartAsync(ServerSettings.ForClient(ServerSettings.Create(Name, "", order.Work.Spin, -1, "none", isXdp: false)), link, platform: new LinuxPlatform()).ConfigureAwait(false);
        await using (network.ConfigureAwait(false))
        {
            var said = false;
            return await new StackLoad(order.Work, network, IPAddress.Parse(order.Address)).RunAsync(
                static () => Clock.CoreCpuSeconds(Name),
                () =>
                {
                    if (!said) onMeasure();
                    said = true;
                    return Task.CompletedTask;
                },
                default).ConfigureAwait(false);
        }
    }
}
