// The messages of memif's control channel, protocol 2.0: 128 bytes each, packed, in the machine's byte order, as VPP documents them
// (memif_msg_t). Formats only: what a message means at a moment is the handshakes' business.
using System.Runtime.InteropServices;
using System.Text;

namespace Peregrine.Drivers.Memif;

/// <summary>memif_msg_type_t.</summary>
internal enum MemifMessageType : ushort
{
    None = 0,
    Ack = 1,
    Hello = 2,
    Init = 3,
    AddRegion = 4,
    AddRing = 5,
    Connect = 6,
    Connected = 7,
    Disconnect = 8,
}

/// <summary>memif_msg_hello_t: what the server can do.</summary>
internal readonly record struct MemifHello(string Name, ushort VersionMin, ushort VersionMax, ushort RegionMax, ushort RingMaxToClient, ushort RingMaxToServer, byte RingSizeLog2Max);

/// <summary>memif_msg_init_t: what the client wants.</summary>
internal readonly record struct MemifInit(ushort Version, uint Id, byte Mode, string Name);

/// <summary>memif_msg_add_region_t.</summary>
internal readonly record struct MemifAddRegion(ushort Index, ulong Size);

/// <summary>memif_msg_add_ring_t.</summary>
internal readonly record struct MemifAddRing(bool IsToServer, ushort Index, ushort Region, uint Offset, byte SizeLog2, ushort PrivateHeaderSize);

/// <summary>One message's bytes. A view: it neither owns nor checks more than the length.</summary>
internal readonly ref struct MemifMessage(Span<byte> bytes)
{
    public const int Size = 128;
    public const ushort Version = 0x0200;
    public const int NameSize = 32, SecretSize = 24, ReasonSize = 96;

    private const int Body = 2;
    private const ushort RingToServer = 1;

    private readonly Span<byte> _bytes = bytes[..Size];

    public MemifMessageType Type => (MemifMessageType)Read16(0);

    public MemifHello Hello => new(ReadText(Body, NameSize), Read16(Body + 32), Read16(Body + 34), Read16(Body + 36), Read16(Body + 38), Read16(Body + 40), _bytes[Body + 42]);

    public MemifInit Init => new(Read16(Body), Read32(Body + 2), _bytes[Body + 6], ReadText(Body + 7 + SecretSize, NameSize));

    /// <summary>The secret of an init message.</summary>
    public ReadOnlySpan<byte> Secret => _bytes.Slice(Body + 7, SecretSize);

    public MemifAddRegion AddRegion => new(Read16(Body), MemoryMarshal.Read<ulong>(_bytes[(Body + 2)..]));

    public MemifAddRing AddRing =>
        new((Read16(Body) & RingToServer) != 0, Read16(Body + 2), Read16(Body + 4), Read32(Body + 6), _bytes[Body + 10], Read16(Body + 11));

    /// <summary>The interface's name in connect and connected.</summary>
    public string InterfaceName => ReadText(Body, NameSize);

    /// <summary>Why, in a disconnect message.</summary>
    public string Reason => ReadText(Body + 4, ReasonSize);

    public void WriteAck() => Begin(MemifMessageType.Ack);

    public void Write(in MemifHello hello)
    {
        Begin(MemifMessageType.Hello);
        WriteText(Body, NameSize, hello.Name);
        Write16(Body + 32, hello.VersionMin);
        Write16(Body + 34, hello.VersionMax);
        Write16(Body + 36, hello.RegionMax);
        Write16(Body + 38, hello.RingMaxToClient);
        Write16(Body + 40, hello.RingMaxToServer);
        _bytes[Body + 42] = hello.RingSizeLog2Max;
    }

    public void Write(in MemifInit init, ReadOnlySpan<byte> secret)
    {
        Begin(MemifMessageType.Init);
        Write16(Body, init.Version);
        Write32(Body + 2, init.Id);
        _bytes[Body + 6] = init.Mode;
        secret[..Math.Min(secret.Length, SecretSize)].CopyTo(_bytes[(Body + 7)..]);
        WriteText(Body + 7 + SecretSize, NameSize, init.Name);
    }

    public void Write(in MemifAddRegion region)
    {
        Begin(MemifMessageType.AddRegion);
        Write16(Body, region.Index);
        MemoryMarshal.Write(_bytes[(Body + 2)..], region.Size);
    }

    public void Write(in MemifAddRing ring)
    {
        Begin(MemifMessageType.AddRing);
        Write16(Body, ring.IsToServer ? RingToServer : (ushort)0);
        Write16(Body + 2, ring.Index);
        Write16(Body + 4, ring.Region);
        Write32(Body + 6, ring.Offset);
        _bytes[Body + 10] = ring.SizeLog2;
        Write16(Body + 11, ring.PrivateHeaderSize);
    }

    public void WriteConnect(string name)
    {
        Begin(MemifMessageType.Connect);
        WriteText(Body, NameSize, name);
    }

    public void WriteConnected(string name)
    {
        Begin(MemifMessageType.Connected);
        WriteText(Body, NameSize, name);
    }

    public void WriteDisconnect(string reason)
    {
        Begin(MemifMessageType.Disconnect);
        WriteText(Body + 4, ReasonSize, reason);
    }

    private void Begin(MemifMessageType type)
    {
        _bytes.Clear();
        Write16(0, (ushort)type);
    }

    private ushort Read16(int offset) => MemoryMarshal.Read<ushort>(_bytes[offset..]);

    private uint Read32(int offset) => MemoryMarshal.Read<uint>(_bytes[offset..]);

    private void Write16(int offset, ushort value) => MemoryMarshal.Write(_bytes[offset..], value);

    private void Write32(int offset, uint value) => MemoryMarshal.Write(_bytes[offset..], value);

    // The peer's texts go into logs: printable ASCII, and nothing else of what it sent.
    private string ReadText(int offset, int size)
    {
        var text = _bytes.Slice(offset, size);
        var end = text.IndexOf((byte)0);
        return string.Create(end < 0 ? size : end, Encoding.Latin1.GetString(text), static (target, source) =>
        {
            for (var i = 0; i < target.Length; i++) target[i] = source[i] is >= ' ' and <= '~' ? source[i] : '?';
        });
    }

    // The last byte stays zero: there are peers that look for it.
    private void WriteText(int offset, int size, string text)
    {
        for (var i = 0; i < text.Length && i < size - 1; i++) _bytes[offset + i] = text[i] is >= ' ' and <= '~' ? (byte)text[i] : (byte)'?';
    }
}
