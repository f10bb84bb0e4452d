// Where a capture goes that is shown later: memory up to a limit, then nothing more. Not a file; "dump" writes those.
namespace Peregrine.Cli;

/// <summary>Keeps the first bytes written to it. Written by the core's thread; read on that thread too, or after the core has ended.</summary>
internal sealed class CaptureBuffer(int bytesMax) : CaptureSink
{
    private readonly MemoryStream _kept = new();

    /// <summary>What was kept so far. A block cut off by the limit is at its end.</summary>
    public byte[] ToArray() => _kept.ToArray();

    public override void Write(ReadOnlySpan<byte> buffer) => _kept.Write(buffer[..(int)Math.Min(buffer.Length, bytesMax - _kept.Length)]);
}
