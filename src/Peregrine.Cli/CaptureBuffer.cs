// Where a capture goes that is shown later: memory up to a limit, then nothing more. Not a file; "dump" writes those.
namespace Peregrine.Cli;

/// <summary>Keeps the first bytes written to it. Written by the core's thread; read on that thread too, or after the core has ended.</summary>
internal sealed class CaptureBuffer(int bytesMax) : Stream
{
    private readonly MemoryStream _kept = new();

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => _kept.Length;

    public override long Position
    {
        get => _kept.Length;
        set => throw new NotSupportedException("A capture is written from start to end.");
    }

    /// <summary>What was kept so far. A block cut off by the limit is at its end.</summary>
    public byte[] ToArray() => _kept.ToArray();

    public override void Flush()
    {
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer) => _kept.Write(buffer[..(int)Math.Min(buffer.Length, bytesMax - _kept.Length)]);

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("A capture is only written.");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("A capture is written from start to end.");

    public override void SetLength(long value) => throw new NotSupportedException("A capture is written from start to end.");
}
