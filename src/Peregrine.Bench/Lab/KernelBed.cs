// Server and client apart, a process and a processor each, over a veth pair or a TAP device; beside ours a peer on a veth pair of its own, with
// the same client. The servers live as long as the bed; idle ones sleep, and one that spins is stopped while the other is measured.
using System.Text.Json;
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Lab;

/// <summary>How a bed is made.</summary>
/// <param name="Link">"xdp", "packet" or "tap", and link options behind a comma.</param>
/// <param name="Peer">A program that serves on the kernel's sockets, called with the address; or null.</param>
/// <param name="PeerIsStack">The peer has a TCP/IP of its own and is called with the device as well. Neither side's client offloads anything then.</param>
/// <param name="Steered">Whether each end's receive work is done on its own processor.</param>
/// <param name="NoOffloads">Whether both ends of every veth pair sum and cut what they send.</param>
internal sealed record KernelBedOptions(string Link, string? Peer, bool PeerIsStack, bool Steered, bool NoOffloads = false)
{
    internal Offloads Offloads => PeerIsStack ? Offloads.ServersOnly : NoOffloads ? Offloads.None : Offloads.AsTheyAre;

    /// <summary>The link as it stands in results.</summary>
    internal string Name => Link.StartsWith("tap", StringComparison.Ordinal) ? Link : Link + (Steered ? " on veth" : " on veth as it is") + (NoOffloads ? " without offloads" : "");
}

internal sealed class KernelBed : Bed
{
    private readonly KernelBedOptions _options;
    private readonly VethLab _lab = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("peregrine-bench-").FullName;
    private readonly Contender?[] _contenders;
    private readonly VethPair?[] _pairs = new VethPair?[2];
    private Helper? _client;
    private (bool Spin, double Loss, bool Kestrel, bool Await) _mode;

    internal KernelBed(KernelBedOptions options)
    {
        _options = options;
        _contenders = new Contender?[options.Peer == null ? 1 : 2];
        var ours = ("Peregrine", IsTap ? "TAP device, server on core 0, client on core 1" : Placement(OurSteering));
        Sides = options.Peer == null ? [ours] : [ours, (Path.GetFileName(options.Peer), Placement(Steering.Packets))];
    }

    internal override string Link => _options.Name;

    internal override IReadOnlyList<(string Name, string Placement)> Sides { get; }

    internal override string ApiOf(int side, BenchWork work) => side == 0 ? OurApi(work) : Peers.ApiOf(Sides[1].Name);

    private bool IsTap => _options.Link.StartsWith("tap", StringComparison.Ordinal);

    internal override async Task<BenchRun> RunAsync(int side, BenchWork work, CancellationToken cancel)
    {
        if (work.LossPercent > 0 && side > 0) throw new ArgumentException("losses are made by our own link: a peer on the kernel's has none. Give --peer none.");
        var contender = await ContenderAsync(side, work, cancel).ConfigureAwait(false);
        _client ??= await Helper.StartReadyAsync("the client", _lab.Client, 1, [.. Helper.Tool, "bench-load"], cancel).ConfigureAwait(false);
        return await RunAsync(_client, contender, new LoadOrder(work, contender.Address), cancel).ConfigureAwait(false);
    }

    /// <summary>One run of a client's, and what the server used meanwhile.</summary>
    internal static async Task<BenchRun> RunAsync(Helper client, Contender server, LoadOrder order, CancellationToken cancel, Func<Task>? onMeasure = null)
    {
        await client.WriteLineAsync(JsonSerializer.Serialize(order)).ConfigureAwait(false);
        var line = await client.ReadLineAsync(cancel).ConfigureAwait(false);
        if (line != LoadProcess.Measuring) throw new IOException($"the client said \"{line}\"");
        if (onMeasure != null) await onMeasure().ConfigureAwait(false);
        var before = await server.ReadAsync(cancel).ConfigureAwait(false);
        var load = JsonSerializer.Deserialize<LoadResult>(await client.ReadLineAsync(cancel).ConfigureAwait(false))!;
        return new BenchRun(load, (await server.ReadAsync(cancel).ConfigureAwait(false)).Since(before));
    }

    public override async ValueTask DisposeAsync()
    {
        await Helper.EndAllAsync([_client, .. _contenders]).ConfigureAwait(false);
        _lab.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<Contender> ContenderAsync(int side, BenchWork work, CancellationToken cancel)
    {
        var mode = (work.Spin, work.LossPercent, work.Kestrel, work.Await);
        if (_mode != mode)
        {
            for (var i = 0; i < _contenders.Length; i++) await EndAsync(i).ConfigureAwait(false);
            _mode = mode;
        }
        // Two servers that spin on one processor would measure each other; one that ended would have to be compiled anew.
        if (work.Spin && _contenders.ElementAtOrDefault(1 - side) is { } other) other.Pause();
        if (_contenders[side] is { } mine) mine.Continue();
        return _contenders[side] ??= side == 0 ? await StartOursAsync(work, cancel).ConfigureAwait(false) : await StartPeerAsync(work, cancel).ConfigureAwait(false);
    }

    private async Task EndAsync(int side)
    {
        if (side < 0 || side >= _contenders.Length || _contenders[side] is not { } contender) return;
        _contenders[side] = null;
        await contender.DisposeAsync().ConfigureAwait(false);
    }

    private async Task<Contender> StartOursAsync(BenchWork work, CancellationToken cancel)
    {
        var control = Path.Combine(_folder, "control.sock");
        File.Delete(control);
        string line, kernel = "", space = "", address, kind = _options.Link.Split(',')[0], rest = _options.Link[kind.Length..];
        VethPair? pair = null;
        const string Device = "pgbtap";
        if (IsTap)
        {
            (line, address, kernel, space) = ($"tap:{Device}{rest}", "10.95.0.2", "10.95.0.1/24", _lab.Client);
        }
        else
        {
            pair = _pairs[0] ??= _lab.AddPair(kernelHasAddress: false, OurSteering, _options.Offloads);
            (line, address) = ($"{kind}:{pair.Device}{(kind == "xdp" ? ",all" : "")}{rest}", pair.ServerAddress);
        }
        var order = JsonSerializer.Serialize(new Serving.ServerOrder(line, address + "/24", kernel, space, control, work.Spin, work.LossPercent, work.Kestrel) { Await = work.Await });
        var process = await Helper.StartReadyAsync("Peregrine's server", pair?.Space, 0, [.. Helper.Tool, "bench-server", order], cancel).ConfigureAwait(false);
        if (IsTap) _lab.OnTap(Device, "10.95.0.1");
        return new Contender("Peregrine", "", address, process, control, pair?.NapiThreads ?? []);
    }

    private async Task<Contender> StartPeerAsync(BenchWork work, CancellationToken cancel)
    {
        var pair = _pairs[1] ??= _lab.AddPair(kernelHasAddress: !_options.PeerIsStack, _options.Steered ? Steering.Packets : Steering.None, _options.Offloads);
        List<string> command = [_options.Peer!, pair.ServerAddress];
        if (_options.PeerIsStack) command.Add(pair.Device);
        if (work.Spin) command.Add("spin");
        var process = await Helper.StartReadyAsync(Sides[1].Name, pair.Space, 0, command, cancel).ConfigureAwait(false);
        return new Contender(Sides[1].Name, "", pair.ServerAddress, process, null, []);
    }

    // A NAPI thread merges segments before AF_PACKET sees them, which a peer's stack has not: then both are steered alike.
    private Steering OurSteering => !_options.Steered ? Steering.None : _options.PeerIsStack && _options.Link.StartsWith("packet", StringComparison.Ordinal) ? Steering.Packets : Steering.Napi;

    private string Placement(Steering steering)
    {
        var how = !_options.Steered ? "veth as it is (receive work runs on the sender's core)"
            : $"veth, {(steering == Steering.Napi ? "threaded NAPI on" : "receive steering to")} core 0 and to core 1 for the client";
        return $"{how}{_options.Offloads switch { Offloads.ServersOnly => ", client's checksum and segmentation offloads off", Offloads.None => ", all checksum and segmentation offloads off", _ => "" }}; server on core 0, client on core 1";
    }
}
