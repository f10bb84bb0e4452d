// Programs started inside a site's namespace, with their output read and their time bounded. Not a shell: arguments are a list.
using System.Diagnostics;
using System.Text;

namespace Peregrine.Interop.Tests;

internal sealed class ChildProgram : IDisposable
{
    private static readonly string[] s_folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];

    private readonly Process _process;

    private ChildProgram(Process process) => _process = process;

    public StreamReader Output => _process.StandardOutput;

    public Stream Input => _process.StandardInput.BaseStream;

    public static bool IsInstalled(string program) => s_folders.Any(folder => File.Exists(Path.Combine(folder, program)));

    /// <summary>Starts a program in the site's namespace. Its standard input is a pipe of ours.</summary>
    public static ChildProgram Start(Site site, string program, params ReadOnlySpan<string> arguments)
    {
        var start = new ProcessStartInfo("nsenter")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        start.ArgumentList.Add($"--net={site.Space.Path}");
        // nsenter becomes the program, so that killing the process kills the program.
        start.ArgumentList.Add(program);
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        return new ChildProgram(Process.Start(start)!);
    }

    /// <summary>Runs a program to its end and gives what it wrote to its standard output; a status other than 0 fails the test.</summary>
    public static async Task<string> RunAsync(Site site, string program, params string[] arguments)
    {
        using var child = Start(site, program, arguments);
        child._process.StandardInput.Close();
        var errors = child._process.StandardError.ReadToEndAsync();
        var output = await child.Output.ReadToEndAsync();
        await child._process.WaitForExitAsync();
        Assert.True(child._process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {child._process.ExitCode}: {output}{await errors}");
        return output;
    }

    /// <summary>Runs a program to its end and gives the SHA-256 of its output.</summary>
    public static async Task<string> HashOutputAsync(Site site, string program, params string[] arguments)
    {
        using var child = Start(site, program, arguments);
        child._process.StandardInput.Close();
        var hash = await Payload.HashAsync(child.Output.BaseStream);
        await child._process.WaitForExitAsync();
        Assert.Equal(0, child._process.ExitCode);
        return hash;
    }

    /// <summary>Closes the program's input and waits for its answer and its end.</summary>
    public async Task<string> FinishAsync()
    {
        Input.Close();
        var output = await Output.ReadToEndAsync();
        await _process.WaitForExitAsync();
        return output;
    }

    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }

    public override string ToString() => new StringBuilder(_process.StartInfo.FileName).AppendJoin(' ', _process.StartInfo.ArgumentList).ToString();
}
