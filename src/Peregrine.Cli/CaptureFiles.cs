// Where a capture goes that is kept: one file, or a row of files of limited size of which the newest are kept. Gets whole pcapng blocks, as
// PcapngWriter hands them over, and begins every file with the section's header and its interfaces, so that each can be read by itself.
using System.Buffers.Binary;
using System.Globalization;

namespace Peregrine.Cli;

/// <summary>How a capture is split up.</summary>
/// <param name="BytesMax">The most bytes of a file, or 0 for one file without a limit. A file has one frame at least.</param>
/// <param name="CountMax">How many files are kept, the newest; 0 for all.</param>
internal readonly record struct CaptureRotation(long BytesMax, int CountMax);

/// <summary>
/// A capture on disk. When it cannot be written (the disk is full, the folder is not ours any more) it ends, and what it is for goes on;
/// <paramref name="complain"/> is then told once.
/// </summary>
internal sealed class CaptureFiles(FileInfo file, CaptureRotation rotation, Action<string> complain) : CaptureSink
{
    // pcapng §4.1, §4.2: what must stand before the first frame.
    private const uint SectionHeader = 0x0A0D_0D0A, InterfaceDescription = 1;
    private const int TypeAndLength = 8;

    private readonly MemoryStream _prologue = new();
    private FileStream? _current = Open(rotation.BytesMax == 0 ? file.FullName : NameOf(file, 1));
    private long _written;
    private int _number = 1;

    public override void Flush() => Try(static files => files._current?.Flush());

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (buffer.Length >= TypeAndLength && _current is not null)
        {
            var length = (int)BinaryPrimitives.ReadUInt32LittleEndian(buffer[4..]);
            WriteBlock(BinaryPrimitives.ReadUInt32LittleEndian(buffer), buffer[..length]);
            buffer = buffer[length..];
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) Try(static files => files._current?.Dispose());
        _current = null;
        base.Dispose(disposing);
    }

    private static FileStream Open(string path) => new(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 1 << 16);

    /// <summary>"trace.pcapng" becomes "trace-00001.pcapng".</summary>
    private static string NameOf(FileInfo file, int number) => Path.Combine(
        file.DirectoryName ?? "", string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileNameWithoutExtension(file.Name)}-{number:D5}{file.Extension}"));

    private void WriteBlock(uint type, ReadOnlySpan<byte> block)
    {
        if (type is SectionHeader or InterfaceDescription) _prologue.Write(block);
        else if (rotation.BytesMax > 0 && _written > _prologue.Length && _written + block.Length > rotation.BytesMax) Try(static files => files.Next());
        try
        {
            _current?.Write(block);
            _written += block.Length;
        }
        catch (IOException e)
        {
            End(e);
        }
    }

    private void Next()
    {
        _current!.Dispose();
        _current = Open(NameOf(file, ++_number));
        _current.Write(_prologue.GetBuffer().AsSpan(0, (int)_prologue.Length));
        _written = _prologue.Length;
        if (rotation.CountMax > 0 && _number > rotation.CountMax) File.Delete(NameOf(file, _number - rotation.CountMax));
    }

    private void Try(Action<CaptureFiles> act)
    {
        try
        {
            act(this);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            End(e);
        }
    }

    private void End(Exception e)
    {
        _current = null;
        complain($"the capture ends: {e.Message}");
    }
}
