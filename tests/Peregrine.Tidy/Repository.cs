// The repository as the Tidy tests see it: its root, its text files and its parsed C# sources. Reads files; judges nothing.
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Peregrine.Tidy;

/// <summary>A C# source file with its syntax tree.</summary>
internal sealed record SourceFile(string Path, string Text, CompilationUnitSyntax Root)
{
    public string[] Lines { get; } = Text.Split('\n');

    /// <summary>The folder two levels down: <c>src/Peregrine.Wire</c> for <c>src/Peregrine.Wire/Tcp/TcpHeader.cs</c>.</summary>
    public string Project => string.Join('/', Path.Split('/').Take(2));

    public string Room => Path.Split('/')[1];
}

internal static class Repository
{
    private static readonly string[] TopFolders = ["src", "tests", "bench", "samples", "eng"];
    private static readonly string[] SkippedFolders = ["artifacts", "bin", "obj", ".git", "node_modules", "TestResults"];
    private static readonly string[] TextExtensions =
        [".cs", ".csproj", ".props", ".targets", ".slnx", ".md", ".json", ".yml", ".sh", ".txt", ".config", ".editorconfig", ".pkt", ".html", ""];

    private static readonly Lazy<SourceFile[]> LazySources = new(ParseSources);

    public static string Root { get; } = FindRoot();

    /// <summary>Every C# file of the repository, parsed; paths are relative to the root, with forward slashes.</summary>
    public static SourceFile[] Sources => LazySources.Value;

    public static IEnumerable<SourceFile> ProductSources => Sources.Where(s => s.Path.StartsWith("src/", StringComparison.Ordinal));

    public static IEnumerable<SourceFile> TestSources => Sources.Where(s => s.Path.StartsWith("tests/", StringComparison.Ordinal));

    public static string Absolute(string relative) => System.IO.Path.Combine(Root, relative);

    public static string Read(string relative) => File.ReadAllText(Absolute(relative));

    public static bool Exists(string relative) => File.Exists(Absolute(relative)) || Directory.Exists(Absolute(relative));

    /// <summary>All text files that belong to the repository.</summary>
    public static IEnumerable<string> TextFiles() =>
        Walk(Root).Where(path => TextExtensions.Contains(System.IO.Path.GetExtension(path)));

    public static IEnumerable<string> Projects() =>
        Walk(Root).Where(path => path.EndsWith(".csproj", StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    public static IEnumerable<string> Walk(string folder)
    {
        foreach (var file in Directory.EnumerateFiles(folder))
        {
            yield return System.IO.Path.GetRelativePath(Root, file).Replace('\\', '/');
        }

        foreach (var child in Directory.EnumerateDirectories(folder))
        {
            if (SkippedFolders.Contains(System.IO.Path.GetFileName(child))) continue;
            foreach (var file in Walk(child)) yield return file;
        }
    }

    private static SourceFile[] ParseSources()
    {
        var options = new CSharpParseOptions(LanguageVersion.Preview, preprocessorSymbols: ["DEBUG", "NET10_0", "NET10_0_OR_GREATER", "NET9_0_OR_GREATER"]);
        var found = new ConcurrentBag<SourceFile>();
        var paths = TopFolders.Select(Absolute).Where(Directory.Exists).SelectMany(Walk)
            .Where(path => path.EndsWith(".cs", StringComparison.Ordinal));
        Parallel.ForEach(paths, path =>
        {
            var text = Read(path);
            var root = (CompilationUnitSyntax)CSharpSyntaxTree.ParseText(text, options).GetRoot();
            found.Add(new SourceFile(path, text, root));
        });
        return [.. found.OrderBy(s => s.Path, StringComparer.Ordinal)];
    }

    private static string FindRoot([CallerFilePath] string here = "")
    {
        // From the program's folder first: a deterministic build may have mapped the source path away.
        foreach (var start in new[] { AppContext.BaseDirectory, System.IO.Path.GetDirectoryName(here), Environment.CurrentDirectory })
        {
            for (var folder = start; folder is not null; folder = System.IO.Path.GetDirectoryName(folder))
            {
                if (File.Exists(System.IO.Path.Combine(folder, "Peregrine.slnx"))) return folder;
            }
        }

        throw new InvalidOperationException("Peregrine.slnx was not found above the test program: run it from the repository.");
    }
}
