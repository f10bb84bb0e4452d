// Two stacks of ours, a process and a processor each, over memory that they share (memif): the link with no kernel in it that still has two
// processes. Needs no permission. The server lives as long as the bed; the client's network is new in each run.
using System.Text.Json;
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;
using Peregrine.Bench.Serving;

namespace Peregrine.Bench.Lab;

internal sealed class MemifBed(string options) : Bed
{
    private const string Address = "192.0.2.2";

    private readonly string _folder = Directory.CreateTempSubdirectory("peregrine-bench-").FullName;
    private Contender? _server;
    private Helper? _client;
    private (bool Spin, double Loss, bool Await) _mode;

    internal override string Link => "memif" + options;

    internal override IReadOnlyList<(string Name, string Placement)> Sides { get; } = [("Peregrine", "memif, server on core 0, client a Peregrine stack in a process of its own on core 1")];

    internal override async Task<BenchRun> RunAsync(int side, BenchWork work, CancellationToken cancel)
    {
        if (work.Kestrel) throw new ArgumentException("--kestrel needs a client on the kernel's sockets: give --link xdp, packet or tap.");
        if (_mode != (work.Spin, work.LossPercent, work.Await) && _server != null)
        {
            await _server.DisposeAsync().ConfigureAwait(false);
            _server = null;
        }
        _mode = (work.Spin, work.LossPercent, work.Await);
        _server ??= await StartServerAsync(work, cancel).ConfigureAwait(false);
        if (_client == null)
        {
            _client = await Helper.StartReadyAsync("the client", null, 1, [.. Helper.Tool, "bench-load"], cancel).ConfigureAwait(false);
        }
        return await KernelBed.RunAsync(_client, _server, new LoadOrder(work, Address, Line(work, "")), cancel).ConfigureAwait(false);
    }

    public override async ValueTask DisposeAsync()
    {
        await Helper.EndAllAsync([_client, _server]).ConfigureAwait(false);
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<Contender> StartServerAsync(BenchWork work, CancellationToken cancel)
    {
        var control = Path.Combine(_folder, "control.sock");
        File.Delete(control);
        var order = JsonSerializer.Serialize(new ServerOrder(Line(work, ",server"), Address + "/24", "", "", control, work.Spin, work.LossPercent, false) { Await = work.Await });
        var process = await Helper.StartReadyAsync("Peregrine's server", null, 0, [.. Helper.Tool, "bench-server", order], cancel).ConfigureAwait(false);
        return new Contender("Peregrine", "", Address, process, control, []);
    }

    /// <summary>An end's line. Ends that spin ask each other for no signals either.</summary>
    private string Line(BenchWork work, string role) => $"memif:{Path.Combine(_folder, "link.sock")}{role}{(work.Spin ? ",poll" : "")}{options}";
}
