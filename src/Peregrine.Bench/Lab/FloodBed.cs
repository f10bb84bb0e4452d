// What honest clients still get while somebody floods the same port with SYNs: once with the flood reaching our link, once with the same flood sent on
// another device of the client's, at whose end the kernel drops it. So what sending costs the client's processor, both pay; the drop besides.
using System.Globalization;
using System.Text.Json;
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;
using Peregrine.Bench.Serving;

namespace Peregrine.Bench.Lab;

internal sealed class FloodBed(string link, Action<string> tell) : Bed
{
    internal const string Dropped = "flood dropped";

    private const string Elsewhere = "pgbnowhere";

    private readonly VethLab _lab = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("peregrine-bench-").FullName;
    private VethPair? _pair;
    private Contender? _server;
    private Helper? _client;

    internal override string Link => link + " on veth";

    internal override IReadOnlyList<(string Name, string Placement)> Sides { get; } =
    [
        ("flood arrives", "veth, threaded NAPI on core 0 and receive steering to core 1 for the client; server on core 0, client and flood on core 1"),
        (Dropped, "the same, the flood sent to a veth device whose other end, on core 1 too, drops it"),
    ];

    internal override async Task<BenchRun> RunAsync(int side, BenchWork work, CancellationToken cancel)
    {
        var pair = _pair ??= _lab.AddPair(kernelHasAddress: false, Steering.Napi, Offloads.AsTheyAre);
        if (_server == null)
        {
            var control = Path.Combine(_folder, "control.sock");
            var order = new ServerOrder($"{link.Split(',')[0]}:{pair.Device}{(link.StartsWith("xdp", StringComparison.Ordinal) ? ",all" : "")}", pair.ServerAddress + "/24", "", "", control, work.Spin, 0, work.Kestrel)
            {
                // What is answered to the flood's addresses has to have a way out, as it would have elsewhere.
                Gateway = pair.ClientAddress,
            };
            var process = await Helper.StartReadyAsync("Peregrine's server", pair.Space, 0, [.. Helper.Tool, "bench-server", JsonSerializer.Serialize(order)], cancel).ConfigureAwait(false);
            _server = new Contender("Peregrine", "", pair.ServerAddress, process, control, pair.NapiThreads);
            _client = await Helper.StartReadyAsync("the client", _lab.Client, 1, [.. Helper.Tool, "bench-load"], cancel).ConfigureAwait(false);
            _lab.AddUnheard(Elsewhere);
            // The server's neighbour is learnt before anything is flooded.
            await KernelBed.RunAsync(_client, _server, new LoadOrder(work with { Seconds = 0.1, FloodPerSecond = 0 }, pair.ServerAddress), cancel).ConfigureAwait(false);
        }
        var mac = Helper.Run("ip", "netns", "exec", pair.Space, "cat", $"/sys/class/net/{pair.Device}/address").Trim();
        var flood = Helper.Start("the flood", _lab.Client, 1,
            [Peers.Script("bench/flood/syn-flood"), side == 0 ? pair.ClientDevice : Elsewhere, mac, pair.ServerAddress, Text(Services.PortOf(work)), Text(work.FloodPerSecond)]);
        await using (flood.ConfigureAwait(false))
        {
            await flood.ReadLineAsync(cancel).ConfigureAwait(false);
            // Once the connections are there: new ones share what the stack answers to SYNs with the flood, which is another question.
            var run = await KernelBed.RunAsync(_client!, _server, new LoadOrder(work, pair.ServerAddress), cancel, () => flood.WriteLineAsync("go")).ConfigureAwait(false);
            flood.EndInput();
            var sent = double.Parse(await flood.ReadLineAsync(cancel).ConfigureAwait(false), CultureInfo.InvariantCulture);
            tell(FormattableString.Invariant($"{Sides[side].Name}: {sent:N0} SYN/s were sent"));
            return run;
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await Helper.EndAllAsync([_client, _server]).ConfigureAwait(false);
        _lab.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
