" SPDX-License-Identifier: GPL-3.0-or-later
" Vim syntax file for standin's configuration: HAProxy's language, with gateway and app.
" Copy to ~/.vim/syntax/standin.vim; `:set ft=standin`, or
"   au BufRead,BufNewFile */standin/*.cfg,standin*.cfg setf standin

if exists("b:current_syntax")
  finish
endif

syn case match
syn match   standinSection   /^\s*\(global\|defaults\|gateway\|app\|frontend\|backend\|listen\)\>/
syn match   standinComment   /\(^\|\s\)#.*/ contains=standinTodo
syn keyword standinTodo      contained TODO FIXME XXX
syn region  standinString    start=/"/ skip=/\\./ end=/"/ contains=standinVariable
syn region  standinRaw       start=/'/ end=/'/
syn match   standinVariable  /\${\?[A-Za-z_][A-Za-z0-9_]*\(:\?-[^}]*\)\?}\?/ contained
syn match   standinExpand    /\$\(PORT\|ADDR\|INSTANCE\|MEMORY_MB\|CPUS\)\>/
syn match   standinRule      /^\s*\(tcp-request\|tcp-response\|http-request\|http-response\|default-action\|acl\|stick-table\|stick\|use_backend\|default_backend\)\>/
syn match   standinOption    /^\s*\(no\s\+\)\?\(option\|timeout\|log\|bind\|server\|match\|queue\|steer\|on-failure\|maxflows\|mode\)\>/
syn match   standinApp       /^\s*\(driver\|command\|directory\|env\|user\|group\|release\|resources\|ready\|check\|standby\|standby-margin\|restart\|stop-signal\|on-promote\|depends\)\>/
syn keyword standinAction    promote demote forward watch reject drop deny return
syn keyword standinCondition if unless else
syn match   standinTime      /\<[0-9]\+\(us\|ms\|s\|m\|h\|d\)\>/
syn match   standinSize      /\<[0-9]\+\(k\|m\|g\)\>/
syn match   standinAddress   /\<\(promoted\|app\|fd\|unix\|abns\|ipv[46]\)@\S*/

hi def link standinSection   Structure
hi def link standinComment   Comment
hi def link standinTodo      Todo
hi def link standinString    String
hi def link standinRaw       String
hi def link standinVariable  Identifier
hi def link standinExpand    Identifier
hi def link standinRule      Statement
hi def link standinOption    Keyword
hi def link standinApp       Keyword
hi def link standinAction    Function
hi def link standinCondition Conditional
hi def link standinTime      Number
hi def link standinSize      Number
hi def link standinAddress   Type

let b:current_syntax = "standin"
