// The server's handshake: hello, then init, regions, rings and connect from the client, each acknowledged. All that the client says is
// checked here once, so that the ports need only check what lies in the rings.
using System.Security.Cryptography;
using System.Text;
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Memif;

internal sealed class MemifServerHandshake : MemifHandshake
{
    private const int RegionCountMax = 64;

    private readonly MemifOptions _options;
    private readonly string _name;
    private readonly List<MemifRegion> _regions = [];
    private readonly List<MemifRing> _toServer = [], _toClient = [];
    private bool _hasInit;

    public MemifServerHandshake(MemifOptions options, string name, Action onFailed)
        : base(onFailed)
    {
        (_options, _name) = (options, name);
        var bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).Write(new MemifHello(
            "peregrine", MemifMessage.Version, MemifMessage.Version, RegionCountMax - 1, (ushort)(options.QueueCount - 1), (ushort)(options.QueueCount - 1),
            MemifRing.SizeLog2Max));
        Send(bytes);
    }

    public override string? OnMessage(Span<byte> bytes, int descriptor)
    {
        var keeps = false;
        try
        {
            var message = new MemifMessage(bytes);
            if (Session != null) return message.Type == MemifMessageType.Disconnect ? "peer: " + message.Reason : "message after connected";
            if (!_hasInit && message.Type is not (MemifMessageType.Init or MemifMessageType.Disconnect)) return "message before init";
            var refusal = message.Type switch
            {
                MemifMessageType.Init => OnInit(message),
                MemifMessageType.AddRegion => OnAddRegion(message.AddRegion, descriptor),
                MemifMessageType.AddRing => OnAddRing(message.AddRing, descriptor, out keeps),
                MemifMessageType.Connect => OnConnect(message),
                MemifMessageType.Disconnect => "peer: " + message.Reason,
                _ => "unknown message",
            };
            if (refusal is null && message.Type != MemifMessageType.Connect) Acknowledge();
            return refusal;
        }
        finally
        {
            if (descriptor >= 0 && !keeps) Posix.Close(descriptor);
        }
    }

    public override void Dispose()
    {
        if (Session is null) MemifSession.Free(_regions, _toServer, _toClient);
    }

    private string? OnInit(MemifMessage message)
    {
        var init = message.Init;
        if (_hasInit) return "second init";
        if (init.Version != MemifMessage.Version) return "version is not 2.0";
        if (init.Id != _options.Id) return "no interface of this id";
        if (init.Mode != (_options.Medium == LinkMedium.Ethernet ? 0 : 1)) return "mode mismatch";
        Span<byte> secret = stackalloc byte[MemifMessage.SecretSize];
        secret.Clear();
        Encoding.ASCII.GetBytes(_options.Secret, secret);
        if (_options.Secret.Length > 0 && !CryptographicOperations.FixedTimeEquals(secret, message.Secret)) return "incorrect secret";
        PeerName = init.Name;
        _hasInit = true;
        return null;
    }

    private string? OnAddRegion(in MemifAddRegion region, int descriptor)
    {
        if (descriptor < 0) return "region without a descriptor";
        if (region.Index != _regions.Count || region.Index >= RegionCountMax) return "region index out of order";
        var sum = _regions.Aggregate(0UL, static (total, r) => total + r.Length);
        if (region.Size > (ulong)_options.RegionBytesMax - sum) return "regions are too large";
        var mapped = MemifRegion.TryMap(descriptor, region.Size, _options.AllowUnsealed, out var refusal);
        if (mapped != null) _regions.Add(mapped);
        return refusal;
    }

    private string? OnAddRing(in MemifAddRing ring, int descriptor, out bool keeps)
    {
        keeps = false;
        var rings = ring.IsToServer ? _toServer : _toClient;
        if (descriptor < 0) return "ring without a descriptor";
        if (ring.Index != rings.Count || ring.Index >= _options.QueueCount) return "ring index out of order";
        if (ring.SizeLog2 is < MemifRing.SizeLog2Min or > MemifRing.SizeLog2Max) return "ring size is not supported";
        if (ring.PrivateHeaderSize != 0) return "private headers are not supported";
        if (ring.Region >= _regions.Count) return "ring in an unknown region";
        if (ring.Offset % MemifRing.Alignment != 0 || !_regions[ring.Region].Contains(ring.Offset, (ulong)MemifRing.BytesFor(ring.SizeLog2)))
            return "ring lies outside of its region";
        // We write into it from a core's loop: it must be what never makes a writer wait, and of no other kind.
        if (!EventFile.IsEvent(descriptor) || Posix.SetNonBlocking(descriptor).IsError) return "ring's descriptor is not an eventfd";
        unsafe
        {
            rings.Add(new MemifRing(_regions[ring.Region].Base + ring.Offset, ring.SizeLog2, descriptor));
        }
        keeps = true;
        return null;
    }

    private string? OnConnect(MemifMessage message)
    {
        if (_toServer.Count + _toClient.Count == 0) return "connect without rings";
        foreach (var ring in _toServer.Concat(_toClient))
        {
            if (ring.LoadCookie() != MemifRing.Cookie) return "ring without cookie";
        }
        PeerName = message.InterfaceName is { Length: > 0 } name ? $"{PeerName} {name}" : PeerName;
        Session = new MemifSession([.. _regions], [.. _toServer], [.. _toClient], 0, OnFailed);
        var bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).WriteConnected(_name);
        Send(bytes);
        return null;
    }

    private void Acknowledge()
    {
        var bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).WriteAck();
        Send(bytes);
    }
}

/// <summary>Tells event descriptors from others.</summary>
internal static class EventFile
{
    public static bool IsEvent(int descriptor)
    {
        try
        {
            return new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget is "anon_inode:[eventfd]";
        }
        catch (IOException)
        {
            return false;
        }
    }
}
