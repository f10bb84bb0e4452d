// The client's handshake: after the server's hello it makes rings and buffers to fit both ends, and tells of them one message at a time,
// each acknowledged, then connects.
using System.Text;
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Memif;

internal sealed class MemifClientHandshake(MemifOptions options, string name, Action onFailed) : MemifHandshake(onFailed)
{
    private readonly Queue<MemifOutgoing> _steps = new();
    private MemifSession? _prepared;

    public override string? OnMessage(Span<byte> bytes, int descriptor)
    {
        // A server has nothing to give.
        if (descriptor >= 0) Posix.Close(descriptor);
        var message = new MemifMessage(bytes);
        switch (message.Type)
        {
            case MemifMessageType.Disconnect:
                return "peer: " + message.Reason;
            case MemifMessageType.Hello when _prepared is null:
                return OnHello(message.Hello);
            case MemifMessageType.Ack when _prepared is not null && Session is null && _steps.TryDequeue(out var step):
                Send(step.Bytes, step.Descriptor);
                return null;
            case MemifMessageType.Connected when _prepared is not null && Session is null && _steps.Count == 0:
                if (message.InterfaceName is { Length: > 0 } interfaceName) PeerName = $"{PeerName} {interfaceName}";
                Session = _prepared;
                return null;
            default:
                return "unexpected message";
        }
    }

    public override void Dispose()
    {
        if (Session is null) _prepared?.Release();
    }

    private string? OnHello(in MemifHello hello)
    {
        if (hello.VersionMin > MemifMessage.Version || hello.VersionMax < MemifMessage.Version) return "version 2.0 is not supported by the server";
        var sizeLog2 = Math.Min(System.Numerics.BitOperations.Log2((uint)options.RingSize), hello.RingSizeLog2Max);
        if (sizeLog2 < MemifRing.SizeLog2Min) return "server supports no rings";
        PeerName = hello.Name;
        _prepared = Prepare(Math.Min(options.QueueCount, hello.RingMaxToServer + 1), Math.Min(options.QueueCount, hello.RingMaxToClient + 1), sizeLog2);
        var bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).Write(
            new MemifInit(MemifMessage.Version, options.Id, options.Medium == LinkMedium.Ethernet ? (byte)0 : (byte)1, "peregrine"),
            Encoding.ASCII.GetBytes(options.Secret));
        Send(bytes);
        for (var i = 0; i < _prepared.Regions.Length; i++) Step(_prepared.Regions[i], (ushort)i);
        for (var i = 0; i < _prepared.ToServer.Length; i++) Step(_prepared.ToServer[i], isToServer: true, (ushort)i);
        for (var i = 0; i < _prepared.ToClient.Length; i++) Step(_prepared.ToClient[i], isToServer: false, (ushort)i);
        bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).WriteConnect(name);
        _steps.Enqueue(new MemifOutgoing(bytes));
        return null;
    }

    /// <summary>Rings first, then the buffers, in a region that holds nothing else.</summary>
    private unsafe MemifSession Prepare(int toServer, int toClient, int sizeLog2)
    {
        var ringBytes = (uint)((MemifRing.BytesFor(sizeLog2) + 127) & ~127);
        var ringsEnd = (uint)((((uint)(toServer + toClient) * ringBytes) + 4_095) & ~4_095u);
        var bufferBytes = (ulong)(uint)(toServer + toClient) * ((ulong)options.BufferSize << sizeLog2);
        var region = MemifRegion.Create((nuint)(ringsEnd + bufferBytes));
        var rings = new MemifRing[toServer + toClient];
        for (var i = 0; i < rings.Length; i++)
        {
            var signal = Posix.CreateEvent();
            if (signal.IsError)
            {
                MemifSession.Free([region], rings.AsSpan(0, i).ToArray(), []);
                signal.ThrowIfError("cannot make an eventfd for a memif ring");
            }
            rings[i] = new MemifRing(region.Base + ((uint)i * ringBytes), sizeLog2, signal.Int32);
            rings[i].Initialise();
        }
        return new MemifSession([region], rings[..toServer], rings[toServer..], (uint)options.BufferSize, OnFailed) { BuffersOffset = ringsEnd };
    }

    private void Step(MemifRegion region, ushort index)
    {
        var bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).Write(new MemifAddRegion(index, region.Length));
        _steps.Enqueue(new MemifOutgoing(bytes, region.Descriptor));
    }

    private unsafe void Step(in MemifRing ring, bool isToServer, ushort index)
    {
        var bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).Write(new MemifAddRing(isToServer, index, 0, (uint)(ring.Address - _prepared!.Regions[0].Base), (byte)ring.SizeLog2, 0));
        _steps.Enqueue(new MemifOutgoing(bytes, ring.EventDescriptor));
    }
}
